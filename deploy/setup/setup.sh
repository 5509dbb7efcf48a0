#!/bin/bash
# Readies a bare Debian or Ubuntu machine: packages, the NATS server, npm modules, the C program.
# Each part looks first and does only what is missing, so a second run needs no network.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export DOLLY_PROJECT=${DOLLY_PROJECT:-$(cd "$here/../.." && pwd)}

if [ "$(id -u)" -ne 0 ]; then
  echo 'setup: cannot go on without root: run it as root, as in "sudo make setup"' >&2
  exit 1
fi
if ! command -v apt-get >/dev/null; then
  echo 'setup: cannot go on without apt-get: Dolly sets itself up on Debian and Ubuntu' >&2
  exit 1
fi

for part in packages nats-server node-modules programs; do
  bash "$here/$part.sh" || { echo "setup: cannot finish: $part failed, see above" >&2; exit 1; }
done

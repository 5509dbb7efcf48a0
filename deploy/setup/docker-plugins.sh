#!/bin/bash
# Unpacks Compose and Buildx of Debian testing under the project: those of Debian 12 are too old.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=$(cd "$here/../.." && pwd)/.cache/docker-plugins

if [ -x "$home/docker-compose" ] && [ -x "$home/docker-buildx" ]; then
  echo "docker plugins: $("$home/docker-compose" version)"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo 'docker plugins: fetching Compose and Buildx of Debian testing from the mirror of this machine'
bash "$here/debian-testing.sh" "$work/tree" docker-compose docker-buildx
mkdir -p "$home"
mv "$work"/tree/usr/libexec/docker/cli-plugins/docker-{compose,buildx} "$home"
echo "docker plugins: $("$home/docker-compose" version)"

#!/bin/bash
# Builds the C programs, bundles the command line and puts `dolly` where npx finds it.
set -euo pipefail
cd "$DOLLY_PROJECT"

for native in services/{cgroup,namespace,network,storage}/native; do
  if make --silent --question -C "$native" 2>/dev/null; then
    echo "$native: up to date"
  else
    echo "$native: building"
    make --silent -C "$native"
  fi
done

node_modules/.bin/node services/cli/bundle/make.ts

# npm links the programs of dependencies only, not the project's own.
link=node_modules/.bin/dolly
# A link that is not there leads nowhere.
if [ "$(readlink "$link" || true)" != ../../services/cli/dolly ]; then
  ln -sfn ../../services/cli/dolly "$link"
  echo 'dolly: "npx dolly" is ready'
fi

#!/bin/bash
# Builds the C program and puts `dolly` where npx finds it.
set -euo pipefail
cd "$DOLLY_PROJECT"

native=services/namespace/native
if make --silent --question -C "$native" 2>/dev/null; then
  echo 'dolly-init: up to date'
else
  echo "dolly-init: building in $native"
  make --silent -C "$native"
fi

# npm links the programs of dependencies only, not the project's own.
link=node_modules/.bin/dolly
if [ "$(readlink "$link" || true)" != ../../services/cli/dolly ]; then
  ln -sfn ../../services/cli/dolly "$link"
  echo 'dolly: "npx dolly" is ready'
fi

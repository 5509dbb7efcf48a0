#!/bin/bash
# Installs the npm packages of the lock file, among them the project's own Node.
set -euo pipefail
cd "$DOLLY_PROJECT"

wanted=24
node=node_modules/.bin/node
stamp=node_modules/.setup-stamp

major() { "$node" --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p'; }
locked=$(sha256sum <package-lock.json)

# Without a stamp they are to be installed.
if [ "$(cat "$stamp" 2>/dev/null || true)" = "$locked" ] && [ "$(major)" = "$wanted" ]; then
  echo "npm packages: as in package-lock.json, Node $("$node" --version)"
  exit 0
fi

echo 'npm packages: installing those of package-lock.json'
npm ci --loglevel=error

if [ "$(major)" != "$wanted" ]; then
  # Where npm runs no install scripts (ignore-scripts), the package "node" has not fetched its binary.
  echo 'npm packages: npm ran no install scripts, running that of the package "node"'
  (cd node_modules/node && npm_config_loglevel=error node installArchSpecificPackage.js)
  # npm also links only programs that are there.
  ln -sfn ../node/bin/node "$node"
fi
if [ "$(major)" != "$wanted" ]; then
  # What does not run says so in place of its version.
  echo "npm packages: cannot get Node $wanted: $node is $("$node" --version 2>&1 || true); look at the output of npm above" >&2
  exit 1
fi
echo "$locked" >"$stamp"
echo "npm packages: installed, Node $("$node" --version)"

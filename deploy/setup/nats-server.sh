#!/bin/bash
# Finds a NATS server that is new enough, or unpacks Debian testing's under the project.
# Below 2.12 clustered compare-and-set races and some options are ignored without a word.
set -euo pipefail

wanted=2.12
home=$DOLLY_PROJECT/.cache/nats-server
unpacked=$home/nats-server

version_of() { "$1" --version 2>/dev/null | sed -n 's/^nats-server: v\([0-9.]*\).*/\1/p'; }
new_enough() { [ -n "$1" ] && dpkg --compare-versions "$1" ge "$wanted"; }

# None on PATH is no candidate, and no failure.
for candidate in "$unpacked" "$(command -v nats-server || true)"; do
  [ -x "$candidate" ] || continue
  version=$(version_of "$candidate")
  if new_enough "$version"; then
    echo "nats-server: $version in ${candidate#"$DOLLY_PROJECT"/}"
    exit 0
  fi
  echo "nats-server: $candidate is ${version:-of unknown version}, wanted is $wanted or newer"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo 'nats-server: fetching the package of Debian testing from the mirror of this machine'
if ! bash "$(dirname "${BASH_SOURCE[0]}")/debian-testing.sh" "$work/tree" nats-server; then
  echo "nats-server: install NATS server $wanted or newer yourself, so that \"nats-server --version\" finds it on PATH, and run this again" >&2
  exit 1
fi

fetched=$(find "$work/tree/usr" -path '*bin/nats-server' -type f -print -quit)
version=$(version_of "$fetched")
if ! new_enough "$version"; then
  echo "nats-server: Debian testing has ${version:-one that does not run here}, wanted is $wanted or newer" >&2
  exit 1
fi
mkdir -p "$home"
mv "$fetched" "$unpacked"
echo "nats-server: $version unpacked to ${unpacked#"$DOLLY_PROJECT"/}"

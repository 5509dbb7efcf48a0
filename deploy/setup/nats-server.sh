#!/bin/bash
# Finds a NATS server that is new enough, or unpacks Debian testing's under the project.
# Below 2.12 clustered compare-and-set races and some options are ignored without a word.
set -euo pipefail

wanted=2.12
home=$DOLLY_PROJECT/.cache/nats-server
unpacked=$home/nats-server

version_of() { "$1" --version 2>/dev/null | sed -n 's/^nats-server: v\([0-9.]*\).*/\1/p'; }
new_enough() { [ -n "$1" ] && dpkg --compare-versions "$1" ge "$wanted"; }

for candidate in "$unpacked" "$(command -v nats-server || true)"; do
  [ -x "$candidate" ] || continue
  version=$(version_of "$candidate")
  if new_enough "$version"; then
    echo "nats-server: $version in ${candidate#"$DOLLY_PROJECT"/}"
    exit 0
  fi
  echo "nats-server: $candidate is ${version:-of unknown version}, wanted is $wanted or newer"
done

. /etc/os-release
# The mirror that this machine gets its own release from, in whichever format its sources are written.
mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Identifier: Packages' |
  awk -v own="${VERSION_CODENAME:-}" '
    $2 == "main" && ($1 == own || $1 ~ /^(stable|testing|unstable|sid)$/) { print $3; exit }')

if [ "${ID:-}" != debian ] || [ -z "$mirror" ]; then
  echo "nats-server: cannot fetch it here: it comes from Debian testing, and ${PRETTY_NAME:-this system} has no Debian mirror" >&2
  echo "nats-server: install NATS server $wanted or newer yourself, so that \"nats-server --version\" finds it on PATH, and run this again" >&2
  exit 1
fi

keyring=
for candidate in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
  [ -e "$candidate" ] && keyring="[signed-by=$candidate]" && break
done

# Everything of apt's that would be written is redirected: the system's sources, lists and cache stay as they are.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
echo "deb $keyring $mirror testing main" >"$work/sources.list"
apt=(apt-get -qq
  -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache"
  -o APT::Sandbox::User=root -o APT::Default-Release= -o APT::Update::Post-Invoke-Success::=true
  -o Acquire::Languages=none -o Acquire::PDiffs=false -o Acquire::Retries=3)

echo 'nats-server: fetching the package of Debian testing from the mirror of this machine'
if ! "${apt[@]}" update; then
  echo 'nats-server: cannot read the package list of Debian testing; if its key is unknown: apt-get install debian-archive-keyring' >&2
  exit 1
fi
(cd "$work" && "${apt[@]}" download nats-server)
dpkg-deb -x "$work"/nats-server_*.deb "$work/tree"

fetched=$(find "$work/tree/usr" -path '*bin/nats-server' -type f -print -quit)
version=$(version_of "$fetched")
if ! new_enough "$version"; then
  echo "nats-server: Debian testing has ${version:-one that does not run here}, wanted is $wanted or newer" >&2
  exit 1
fi
mkdir -p "$home"
mv "$fetched" "$unpacked"
echo "nats-server: $version unpacked to ${unpacked#"$DOLLY_PROJECT"/}"

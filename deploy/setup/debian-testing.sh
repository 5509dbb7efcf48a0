#!/bin/bash
# Unpacks packages of Debian testing into a directory; the system's sources, lists and packages stay as they are.
# usage: debian-testing.sh DIRECTORY PACKAGE...
set -euo pipefail

tree=$1
shift

. /etc/os-release
# The mirror that this machine gets its own release from, in whichever format its sources are written.
mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Identifier: Packages' |
  awk -v own="${VERSION_CODENAME:-}" '
    $2 == "main" && ($1 == own || $1 ~ /^(stable|testing|unstable|sid)$/) { print $3; exit }')

if [ "${ID:-}" != debian ] || [ -z "$mirror" ]; then
  echo "cannot fetch $*: it comes from Debian testing, and ${PRETTY_NAME:-this system} has no Debian mirror" >&2
  exit 1
fi

keyring=
for candidate in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
  [ -e "$candidate" ] && keyring="[signed-by=$candidate]" && break
done

# Everything of apt's that would be written is redirected.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
echo "deb $keyring $mirror testing main" >"$work/sources.list"
apt=(apt-get -qq
  -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache"
  -o APT::Sandbox::User=root -o APT::Default-Release= -o APT::Update::Post-Invoke-Success::=true
  -o Acquire::Languages=none -o Acquire::PDiffs=false -o Acquire::Retries=3)

if ! "${apt[@]}" update; then
  echo 'cannot read the package list of Debian testing; if its key is unknown: apt-get install debian-archive-keyring' >&2
  exit 1
fi
(cd "$work" && "${apt[@]}" download "$@")
for package in "$work"/*.deb; do dpkg-deb -x "$package" "$tree"; done

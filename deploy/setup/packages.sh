#!/bin/bash
# Installs the system packages that are missing, and those that are named besides.
set -euo pipefail

wanted=(
  btrfs-progs     # the copy-on-write file system: make it, list and delete subvolumes
  mount           # mount, losetup: attach the file system's image
  iproute2        # bridge, network namespaces, veth pairs
  nftables        # masquerade and published ports
  kmod            # load btrfs, veth, bridge and nftables where they are modules
  conmon          # the monitor that outlives the services: stdio, log, exit code
  busybox-static  # the default image
  gcc libc6-dev   # build the C program, statically
  libseccomp-dev  # compile system call filters
  ca-certificates # npm's registry speaks TLS
  openssl         # tests: certificates for the bus
  iptables        # tests: a host with Docker's firewall
  stress-ng       # tests: loads that the limits must hold
  mmdebstrap      # tests: a Debian image
)
# A Node of any age will do to install the project's own Node 24.
command -v node >/dev/null && command -v npm >/dev/null || wanted+=(nodejs npm)

wanted+=("$@")

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=absent
  [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo 'packages: all there'
  exit 0
fi

echo "packages: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# One unreachable source of many does not matter when the others have the packages.
apt-get update -qq || echo 'packages: some package lists could not be fetched, going on with those there are' >&2
apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
echo "packages: ${#missing[@]} installed"

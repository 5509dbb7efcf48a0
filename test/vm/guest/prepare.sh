#!/bin/bash
# Called by mmdebstrap before the kernel comes: an initial RAM disk of what finds the root, made in seconds.
set -euo pipefail

mkdir -p "$1/etc/initramfs-tools/conf.d"
printf 'MODULES=list\nCOMPRESS=gzip\n' >"$1/etc/initramfs-tools/conf.d/dolly"

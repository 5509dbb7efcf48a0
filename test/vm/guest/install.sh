#!/bin/bash
# Turns a fresh Debian tree into the guest's root: what `make setup` installs, and the unit that runs a task.
# Called by mmdebstrap before it drops the package lists, with the tree as its argument.
set -euo pipefail

root=$1
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)

# All that is needed to find the root file system; the rest are modules in it.
printf 'virtio_pci\nvirtio_blk\next4\n' >>"$root/etc/initramfs-tools/modules"
install -m 755 "$project/deploy/setup/packages.sh" "$root/tmp/packages.sh"
chroot "$root" /tmp/packages.sh
rm "$root/tmp/packages.sh"
chroot "$root" update-initramfs -u

# A guest has no registry: the project's npm packages and NATS server come with it.
mkdir -p "$root/dolly"
cp -a "$project/node_modules" "$project/.cache/nats-server" "$root/dolly/"
mkdir "$root/dolly/.cache"
mv "$root/dolly/nats-server" "$root/dolly/.cache/"

echo guest >"$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 guest\n' >"$root/etc/hosts"
rm -f "$root/etc/resolv.conf"
echo 'nameserver 127.0.0.1' >"$root/etc/resolv.conf"
install -m 644 "$project/test/vm/guest/dolly-test.service" "$root/etc/systemd/system/"
chroot "$root" systemctl enable --quiet dolly-test.service
# Nobody logs in, and nothing of it need be written to a slow disk.
chroot "$root" systemctl mask --quiet getty@.service serial-getty@.service apt-daily.timer apt-daily-upgrade.timer

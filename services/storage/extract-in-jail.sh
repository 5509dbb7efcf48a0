#!/bin/sh
# Unpacks the tar on standard input into the directory $1, in a mount namespace of its own (see
# image-import.ts) whose root is a read-only jail mounted over $2: the system's programs and that
# directory. Whatever names and links a hostile tar has, there is nothing else it could write to.
set -eu
image=$1
jail=$2

mount -t tmpfs -o mode=0755,nosuid,nodev,size=1m jail "$jail"
mkdir "$jail/image" "$jail/host" "$jail/proc"
for name in usr bin sbin lib lib64; do
  if [ -L "/$name" ]; then
    cp -P "/$name" "$jail/$name"
  elif [ -d "/$name" ]; then
    mkdir "$jail/$name"
    mount --bind "/$name" "$jail/$name"
    mount -o remount,bind,ro "$jail/$name"
  fi
done
mount --bind "$image" "$jail/image"
mount --bind /proc "$jail/proc"
mount -o remount,ro "$jail"
cd "$jail"
pivot_root . host
cd /image
# umount itself reads /proc, through which a process could reach the host again: it goes last.
umount -l /host
umount -l /proc

# Names are printed escaped, one a line: the caller counts the lines.
exec tar --extract --file=- --verbose --numeric-owner --same-owner --same-permissions \
  --delay-directory-restore --xattrs --xattrs-include=security.capability --xattrs-include='user.*'

#!/bin/sh
# Unpacks the tar on standard input, or copies the content of the directory $3, into the directory $1, in a
# mount namespace of its own (see image-import.ts, volume.ts) whose root is a read-only jail mounted over
# $2: the system's programs and these directories. Whatever names and links a hostile tree has, there is
# nothing else it could read or write.
set -eu
image=$1
jail=$2
source=${3-}

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
if [ -n "$source" ]; then
  mkdir "$jail/source"
  mount --bind "$source" "$jail/source"
  mount -o remount,bind,ro,nosuid,nodev "$jail/source"
fi
mount --bind /proc "$jail/proc"
mount -o remount,ro "$jail"
cd "$jail"
pivot_root . host
cd /image
# umount itself reads /proc, through which a process could reach the host again: it goes last.
umount -l /host
umount -l /proc

# A header of the tar may say how long a name is; tar takes as much memory, and several times of it.
ulimit -v 524288

if [ -n "$source" ]; then
  exec cp --archive --reflink=auto /source/. /image
fi
# Names are printed escaped, one a line: the caller counts the lines.
exec tar --extract --file=- --verbose --numeric-owner --same-owner --same-permissions \
  --delay-directory-restore --xattrs --xattrs-include=security.capability --xattrs-include='user.*'

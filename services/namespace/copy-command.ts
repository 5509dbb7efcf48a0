import type { z } from 'zod'
import type { CopyIn, CopyOut } from '../../shared/contracts/operations.ts'

/** Packs what stands at $1/$2, and says first whether that is a directory; $3 is h to follow links. */
const pack = `
if [ ! -e "$1/$2" ] && [ ! -L "$1/$2" ]; then echo "no such file or directory" >&2; exit 3; fi
cd "$1" || exit 3
if [ -d "$2" ] && { [ -n "$3" ] || [ ! -L "$2" ]; }; then echo directory >&2; else echo file >&2; fi
exec tar -c"$3"f - "./$2"`

/**
 * Unpacks a tar at $1. What comes is, by $2, the content of a directory, a single file named $3, or a
 * stream, which is unpacked as it is; by $4 a directory that is there gets its content, not itself.
 * Docker's rules, see docker-container-cp(1).
 */
const unpack = `
fail() { echo "$1" >&2; exit 3; }
at=$1
case $2 in
stream)
  [ -d "$at" ] || fail "not a directory"
  ;;
directory)
  if [ -d "$at" ]; then
    [ "$4" = content ] || at=$at/$3
  elif [ -e "$at" ]; then
    fail "cannot copy a directory to a file"
  fi
  if [ -e "$at" ] && [ ! -d "$at" ]; then fail "cannot overwrite a file with a directory"; fi
  [ -d "$at" ] || mkdir "$at" || exit 3
  ;;
file)
  [ -d "$at" ] && at=$at/$3
  case $at in */) fail "no such directory" ;; esac
  if [ -d "$at" ]; then fail "cannot overwrite a directory with a file"; fi
  hold=$(mktemp -d "$at.XXXXXX") || exit 3
  trap 'rm -rf "$hold"' EXIT
  tar -xf - -C "$hold" || exit 3
  mv -f "$hold/$3" "$at" || exit 3
  exit 0
  ;;
esac
cd "$at" && exec tar -xf -`

/** The command of a copy: a shell of busybox that finds no program but its own. */
export const copyCommand = (wish: z.output<typeof CopyIn> | z.output<typeof CopyOut>): string[] =>
  wish.direction === 'out'
    ? ['sh', '-c', pack, 'copy', wish.directory, wish.name, wish.followLinks ? 'h' : '']
    : ['sh', '-c', unpack, 'copy', wish.path, wish.kind, wish.name, wish.content ? 'content' : '']

import { lstatSync, readFileSync, statSync } from 'node:fs'
import { relative } from 'node:path'
import type { Mount } from '../../shared/contracts/mount.ts'
import { Failure, errnoOf, reasonOf } from '../../shared/failure.ts'
import { type Mount as MountPoint, parseMountTable } from '../../shared/mount-table.ts'

/** A directory that the node's configuration lets containers have, and the way from it to what one asks for. */
export interface HostBind {
  allowed: string
  /** Empty for the directory itself. */
  path: string
}

const contains = (directory: string, path: string): boolean =>
  path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`)

const refused = (id: string, source: string, reason: string): Failure =>
  new Failure('not_permitted', `cannot mount ${source} in container ${id}: ${reason}`)

const mountPoints = (): MountPoint[] => parseMountTable(readFileSync('/proc/self/mountinfo', 'utf8'))

/** Files that a container's root leaves there are the host's root's, set-uid programs too. */
const isClosed = (directory: string): boolean => {
  if ((statSync(directory).mode & 0o011) === 0) return true
  const [mount] = mountPoints()
    .filter(({ mountPoint }) => contains(mountPoint, directory))
    .toSorted((a, b) => b.mountPoint.length - a.mountPoint.length)
  return mount?.options.includes('nosuid') ?? false
}

/**
 * Which allowed directory a bind mount comes from. Throws `Failure` (`not_permitted`, `not_found`) where the
 * node's configuration does not allow it.
 */
export const hostBind = (id: string, { source, options }: Mount, allow: readonly string[]): HostBind => {
  const [allowed] = allow
    .filter((directory) => contains(directory, source))
    .toSorted((a, b) => b.length - a.length)
  if (allowed === undefined || source.split('/').includes('..'))
    throw refused(id, source, `this node allows ${allow.join(', ') || 'no directory'} (DOLLY_BIND_ALLOW)`)
  try {
    lstatSync(source)
    if (!options.includes('ro') && !isClosed(allowed))
      throw refused(
        id,
        source,
        `others may enter ${allowed}, and a set-uid file that a container leaves there is root's: chmod 700 it, mount it nosuid, or mount it read-only`,
      )
  } catch (error) {
    if (error instanceof Failure) throw error
    const code = errnoOf(error) === 'ENOENT' ? 'not_found' : 'system'
    throw new Failure(code, `cannot mount ${source} in container ${id}: ${reasonOf(error)}`, { cause: error })
  }
  return { allowed, path: relative(allowed, source) }
}

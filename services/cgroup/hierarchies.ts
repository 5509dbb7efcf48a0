import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Mount, parseMountTable } from '../../shared/mount-table.ts'

/** The v1 controllers that a container is put under. */
const v1Controllers = ['cpu', 'cpuacct', 'cpuset', 'memory', 'pids', 'blkio', 'devices', 'freezer'] as const

/** The v2 controllers that are passed down to containers; the freezer and kill files need none. */
export const v2Controllers = ['cpu', 'cpuset', 'memory', 'pids', 'io'] as const

/** One mounted cgroup tree. On a hybrid host the v2 tree has no controllers, but `cgroup.kill` and `cgroup.freeze` work. */
export interface Hierarchy {
  version: 1 | 2
  /** The cgroup root of the tree. */
  directory: string
  controllers: string[]
}

const v1Hierarchy = ({ mountPoint, superOptions }: Mount): Hierarchy => ({
  version: 1,
  directory: mountPoint,
  controllers: v1Controllers.filter((controller) => superOptions.includes(controller)),
})

const v2Hierarchy = ({ mountPoint }: Mount): Hierarchy => {
  const file = join(mountPoint, 'cgroup.controllers')
  const available = existsSync(file) ? readFileSync(file, 'utf8').trim().split(' ') : []
  return {
    version: 2,
    directory: mountPoint,
    controllers: v2Controllers.filter((controller) => available.includes(controller)),
  }
}

/**
 * The host's hierarchies out of its mount table, each controller where it really is: co-mounted v1
 * controllers are one hierarchy, a tree that is mounted twice counts once, and a bind mount of a part
 * of a tree counts only when the whole is not there.
 */
export const hierarchiesOf = (mounts: readonly Mount[]): Hierarchy[] => {
  const found = new Map<string, Hierarchy>()
  const wholeFirst = mounts.toSorted((a, b) => a.root.length - b.root.length)
  for (const mount of wholeFirst) {
    const hierarchy =
      mount.fsType === 'cgroup2'
        ? v2Hierarchy(mount)
        : mount.fsType === 'cgroup'
          ? v1Hierarchy(mount)
          : undefined
    if (!hierarchy || (hierarchy.version === 1 && hierarchy.controllers.length === 0)) continue
    const key = hierarchy.version === 2 ? 'v2' : hierarchy.controllers.join(',')
    if (!found.has(key)) found.set(key, hierarchy)
  }
  return [...found.values()]
}

/** The hierarchies of this host. */
export const readHierarchies = (): Hierarchy[] =>
  hierarchiesOf(parseMountTable(readFileSync('/proc/self/mountinfo', 'utf8')))

/** The hierarchy that has the controller, or undefined when the host offers it nowhere. */
export const hierarchyOf = (hierarchies: readonly Hierarchy[], controller: string): Hierarchy | undefined =>
  hierarchies.find(({ controllers }) => controllers.includes(controller))

/** The v2 tree, with or without controllers. */
export const unifiedHierarchy = (hierarchies: readonly Hierarchy[]): Hierarchy | undefined =>
  hierarchies.find(({ version }) => version === 2)

import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { type Mount, parseMountTable } from '../../shared/mount-table.ts'

const isCgroup = ({ fsType }: Mount): boolean => fsType === 'cgroup' || fsType === 'cgroup2'
/** A named v1 hierarchy (systemd's) limits nothing and belongs to someone else. */
const isNamed = ({ superOptions }: Mount): boolean =>
  superOptions.some((option) => option.startsWith('name='))

/** Every cgroup tree that is mounted, whole ones first. */
export const readEveryCgroupMount = (): Mount[] =>
  parseMountTable(readFileSync('/proc/self/mountinfo', 'utf8'))
    .filter(isCgroup)
    .toSorted((a, b) => a.root.length - b.root.length)

/** Those of them that limit, whole ones first. */
export const readCgroupMounts = (): Mount[] => readEveryCgroupMount().filter((mount) => !isNamed(mount))

/** One cgroup tree as the container sees it: its own cgroup, a directory of the host's, is the root. */
export interface CgroupView {
  name: string
  directory: string
  isUnified: boolean
}

const within = (directory: string, { mountPoint }: Mount): boolean => directory.startsWith(`${mountPoint}/`)

const mountOf = (directory: string, mounts: readonly Mount[]): Mount | undefined =>
  mounts
    .filter((candidate) => within(directory, candidate))
    .toSorted((a, b) => b.mountPoint.length - a.mountPoint.length)[0]

/** Whether the directory is a cgroup of the unified hierarchy. */
export const isUnified = (directory: string, mounts: readonly Mount[]): boolean =>
  mountOf(directory, mounts)?.fsType === 'cgroup2'

/** The trees in which the container has a cgroup, in the order of its directories. */
export const cgroupViews = (directories: readonly string[], mounts: readonly Mount[]): CgroupView[] =>
  directories.flatMap((directory) => {
    const mount = mountOf(directory, mounts)
    if (!mount) return []
    return [{ name: basename(mount.mountPoint), directory, isUnified: mount.fsType === 'cgroup2' }]
  })

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Failure, errnoOf, reasonOf } from '../../shared/failure.ts'
import type { Names } from '../../shared/names.ts'
import { readIfThere } from './bundle.ts'
import { readEveryCgroupMount } from './cgroup-mounts.ts'

/**
 * Where monitors live, in each hierarchy: never in a service's own cgroup, or they would be stopped with it. In
 * named ones too, by which systemd and Docker end what a service has left, and fail to remove what is in use.
 */
export const monitorDirectories = ({ monitorCgroup }: Names): string[] => [
  ...new Set(
    readEveryCgroupMount()
      .filter(({ root }) => root === '/')
      .map(({ mountPoint }) => join(mountPoint, monitorCgroup)),
  ),
]

/** A new v1 cpuset is empty, and nothing may join it until it has processors and memory nodes; in v2 it has its parent's. */
const fillCpuset = (directory: string): void => {
  if (existsSync(join(directory, 'cgroup.controllers'))) return
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const own = readIfThere(join(directory, file))
    if (own === undefined || own.trim() !== '') continue
    writeFileSync(join(directory, file), readFileSync(join(dirname(directory), file)))
  }
}

/** Makes what is missing of them; the cgroup service mostly has. Throws `Failure` (`host_unfit`). */
export const ensureMonitorCgroups = (names: Names): string[] => {
  const directories = monitorDirectories(names)
  for (const directory of directories) {
    try {
      mkdirSync(directory, { recursive: true })
      fillCpuset(dirname(directory))
      fillCpuset(directory)
    } catch (error) {
      throw new Failure('host_unfit', `cannot make the monitors' cgroup ${directory}: ${reasonOf(error)}`, {
        cause: error,
      })
    }
  }
  return directories
}

/** Pids of every process there, in whichever hierarchy. */
export const monitorPids = (names: Names): number[] => [
  ...new Set(
    monitorDirectories(names)
      .flatMap((directory) => (readIfThere(join(directory, 'cgroup.procs')) ?? '').split('\n'))
      .filter(Boolean)
      .map(Number),
  ),
]

const inUse = new Set(['EBUSY', 'ENOTEMPTY'])

const removed = (directory: string): boolean => {
  try {
    rmdirSync(directory)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}

/** Removes them and answers those that were there, with their parents, unless containers have cgroups in these. */
export const removeMonitorCgroups = (names: Names): string[] =>
  monitorDirectories(names).flatMap((directory) =>
    [directory, dirname(directory)].filter((each) => {
      try {
        return removed(each)
      } catch (error) {
        if (each !== directory && inUse.has(errnoOf(error) ?? '')) return false
        throw new Failure('busy', `cannot remove cgroup ${each}: ${reasonOf(error)}`, { cause: error })
      }
    }),
  )

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure, errnoOf } from '../../shared/failure.ts'
import { waitFor } from './bounded-wait.ts'
import { readIfThere } from './bundle.ts'

/** Files that only some hierarchies have are looked for in each: which has what differs from host to host. */
const present = (directories: readonly string[], file: string): string[] =>
  directories.map((directory) => readIfThere(join(directory, file))).filter((text) => text !== undefined)

/** Writes where the file exists; the group may be gone or its processes may be leaving. */
const writeWhereThere = (directories: readonly string[], file: string, value: string): void => {
  for (const directory of directories) {
    try {
      writeFileSync(join(directory, file), value, { flag: 'r+' })
    } catch (error) {
      if (!['ENOENT', 'ENODEV'].includes(errnoOf(error) ?? '')) throw error
    }
  }
}

/** Whether the container's processes are held still, on v1 or v2. */
export const isFrozen = (directories: readonly string[]): boolean =>
  present(directories, 'cgroup.events').some((text) => text.includes('frozen 1')) ||
  present(directories, 'freezer.state').some((text) => text.trim() !== 'THAWED')

/** Lets a frozen container go on; tasks that v1 froze do not even die before. */
export const thaw = (directories: readonly string[]): void => {
  if (!isFrozen(directories)) return
  writeWhereThere(directories, 'freezer.state', 'THAWED')
  writeWhereThere(directories, 'cgroup.freeze', '0')
}

const killLimitMs = 10_000

/** Kills what is in the first that has any; a process is in most of them, so that the others need no look until then. */
const killOnce = (directories: readonly string[]): true | undefined => {
  for (const directory of directories) {
    const pids = present([directory], 'cgroup.procs').flatMap((text) => text.split('\n').filter(Boolean))
    for (const pid of pids) {
      try {
        process.kill(Number(pid), 'SIGKILL')
      } catch (error) {
        if (errnoOf(error) !== 'ESRCH') throw error
      }
    }
    if (pids.length > 0) return undefined
  }
  return true
}

/**
 * Kills everything in the container's cgroups, also what has left the pid namespace of its init. Not by
 * `cgroup.kill`: Linux 6.18 then also kills whatever is cloned into that cgroup later (CLONE_INTO_CGROUP),
 * and a stopped container starts again in the same one.
 */
export const killGroup = async (directories: readonly string[]): Promise<void> => {
  if (await waitFor(() => killOnce(directories), killLimitMs)) return
  throw new Failure('busy', `cannot empty ${directories.join(', ')}: processes there outlive SIGKILL`)
}

const oomFiles = ['memory.oom_control', 'memory.events']
/** Where v1 has its memory controller on most hosts. */
const isMemory = (directory: string): boolean => directory.includes('/memory/')

/** How many processes the out-of-memory killer took in this cgroup since it was made; one hierarchy counts them. */
export const oomKills = (directories: readonly string[]): number => {
  const likely = directories.toSorted((a, b) => Number(isMemory(b)) - Number(isMemory(a)))
  for (const directory of likely) {
    for (const file of oomFiles) {
      const text = readIfThere(join(directory, file))
      if (text !== undefined) return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0)
    }
  }
  return 0
}

/** Of its processor time a container needs this much to be set up within it without being throttled. */
const leastShare = 0.5

/**
 * Whether a process may be made in this v2 cgroup rather than moved there once it is set up: a tight quota
 * would slow all that it does before its command, and where `pids.max` is reached, nothing is born any more.
 */
export const takesNewborn = (directory: string): boolean => {
  const read = (file: string) => readIfThere(join(directory, file))?.trim()
  const [quota = 'max', period] = read('cpu.max')?.split(' ') ?? []
  if (quota !== 'max' && Number(quota) / Number(period) < leastShare) return false
  const most = read('pids.max') ?? 'max'
  return most === 'max' || Number(read('pids.current')) < Number(most)
}

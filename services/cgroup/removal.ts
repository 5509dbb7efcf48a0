import { existsSync, rmdirSync, writeFileSync } from 'node:fs'
import { Failure, errnoOf } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { until } from './bounded-wait.ts'
import type { Group } from './groups.ts'
import { cgroupsBelow, fileIn, processesIn } from './tree.ts'

/** Longer than any exit of healthy processes takes; what is still there then hangs in the kernel. */
const killLimitMs = 5000
const removeLimitMs = 2000

const ignoring = (codes: readonly string[], act: () => void): void => {
  try {
    act()
  } catch (error) {
    if (!codes.includes(errnoOf(error) ?? '')) throw error
  }
}

const gone = ['ENOENT', 'ENODEV', 'ESRCH']

/** Processes frozen by the v1 freezer ignore SIGKILL until they thaw, and each cgroup below may be frozen by itself. */
const thawAll = (groups: readonly Group[]): void => {
  for (const { path, controllers } of groups.filter(({ version }) => version === 1)) {
    if (!controllers.includes('freezer')) continue
    for (const directory of cgroupsBelow(path)) {
      ignoring(gone, () => writeFileSync(fileIn(directory, 'freezer.state'), 'THAWED'))
    }
  }
}

/** `cgroup.kill` reaches the whole v2 tree at once, forks included; before Linux 5.14 it does not exist. */
const killTree = (groups: readonly Group[]): void => {
  for (const { path } of groups.filter(({ version }) => version === 2)) {
    ignoring(gone, () => writeFileSync(fileIn(Buffer.from(path), 'cgroup.kill'), '1', { flag: 'r+' }))
  }
}

const processesOf = (groups: readonly Group[]): number[] => [
  ...new Set(groups.flatMap(({ path }) => cgroupsBelow(path).flatMap(processesIn))),
]

const killEach = (pids: readonly number[]): void => {
  for (const pid of pids) {
    // Never ourselves, whatever moved us there.
    if (pid !== process.pid) ignoring(gone, () => void process.kill(pid, 'SIGKILL'))
  }
}

/** A process can fork between the reading of the list and its own death, so the list is read until it is empty. */
const killAll = async (id: string, groups: readonly Group[]): Promise<void> => {
  let left = processesOf(groups)
  if (left.length === 0) return
  thawAll(groups)
  killTree(groups)
  const emptied = await until(() => {
    left = processesOf(groups)
    killEach(left)
    return left.length === 0
  }, killLimitMs)
  if (emptied) return
  throw new Failure(
    'busy',
    `cannot remove cgroup ${id}: processes ${left.slice(0, 10).join(', ')} do not die`,
    {
      details: { pids: left.slice(0, 100) },
    },
  )
}

/** rmdir says EBUSY for a moment after the last process has left the list. */
const removed = (path: string): boolean => {
  for (const directory of cgroupsBelow(path).toReversed()) {
    ignoring([...gone, 'EBUSY', 'ENOTEMPTY'], () => rmdirSync(directory))
  }
  return !existsSync(path)
}

/** Kills what is in the container's cgroups and removes them, nested ones first. Absent is success. */
export const removeGroup = async (id: string, groups: readonly Group[], record: Recorder): Promise<void> => {
  const present = groups.filter(({ path }) => existsSync(path))
  if (present.length === 0) return
  await record.call(
    `for dir in ${present.map(({ path }) => path).join(' ')}; do kill -KILL $(cat $dir/cgroup.procs); done`,
    () => killAll(id, present),
  )
  await record.call(`rmdir ${present.map(({ path }) => path).join(' ')}`, async () => {
    if (await until(() => present.map(({ path }) => removed(path)).every(Boolean), removeLimitMs)) return
    const left = present.map(({ path }) => path).filter((path) => existsSync(path))
    throw new Failure('busy', `cannot remove cgroup ${id}: ${left.join(', ')} is still in use`, {
      details: { left },
    })
  })
}

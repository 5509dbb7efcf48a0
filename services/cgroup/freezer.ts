import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure, errnoOf } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { until } from './bounded-wait.ts'
import type { Group } from './groups.ts'

/** A process that waits on a disk is frozen only when it returns. */
const freezeLimitMs = 5000

interface Freezer {
  file: string
  frozen: string
  thawed: string
  isFrozen: () => boolean
}

/** The v2 tree's freezer where there is one, since what it froze can still be killed; else that of v1. */
const freezerOf = (groups: readonly Group[], id: string): Freezer => {
  const v2 = groups.find(({ version }) => version === 2)
  if (v2) {
    return {
      file: join(v2.path, 'cgroup.freeze'),
      frozen: '1',
      thawed: '0',
      isFrozen: () => readFileSync(join(v2.path, 'cgroup.events'), 'utf8').includes('frozen 1'),
    }
  }
  const v1 = groups.find(({ controllers }) => controllers.includes('freezer'))
  if (!v1) throw new Failure('unsupported', `cannot pause ${id}: this host has no cgroup freezer`)
  const file = join(v1.path, 'freezer.state')
  return {
    file,
    frozen: 'FROZEN',
    thawed: 'THAWED',
    isFrozen: () => readFileSync(file, 'utf8').trim() === 'FROZEN',
  }
}

const setState = (
  record: Recorder,
  verb: string,
  id: string,
  { file, state }: { file: string; state: string },
) =>
  record.call(`echo ${state} > ${file}`, () => {
    try {
      writeFileSync(file, state, { flag: 'r+' })
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
      throw new Failure('not_found', `cannot ${verb} ${id}: it has no cgroup`, { cause: error })
    }
  })

/** Holds every process of the container still, and lets them go again when not all could be held in time. */
export const freeze = async (
  groups: readonly Group[],
  id: string,
  record: Recorder,
): Promise<Record<string, never>> => {
  const { file, frozen, thawed, isFrozen } = freezerOf(groups, id)
  await setState(record, 'pause', id, { file, state: frozen })
  if (await until(isFrozen, freezeLimitMs)) return {}
  await setState(record, 'unpause', id, { file, state: thawed })
  throw new Failure('busy', `cannot pause ${id}: not every process froze in ${freezeLimitMs} ms`)
}

/** Lets the container's processes run again. */
export const thaw = async (
  groups: readonly Group[],
  id: string,
  record: Recorder,
): Promise<Record<string, never>> => {
  const { file, thawed, isFrozen } = freezerOf(groups, id)
  await setState(record, 'unpause', id, { file, state: thawed })
  if (await until(() => !isFrozen(), freezeLimitMs)) return {}
  throw new Failure('busy', `cannot unpause ${id}: the kernel still shows it frozen`)
}

import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure, reasonOf } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import type { Names } from '../../shared/names.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { type Hierarchy, v2Controllers } from './hierarchies.ts'
import { sameList } from './limit.ts'

const read = (...path: string[]): string => readFileSync(join(...path), 'utf8').trim()

const wordsOf = (text: string): string[] => text.split(' ').filter((word) => word !== '')

/** Hands the controllers of a v2 cgroup to its children, each alone: one that cannot is missed by those who ask for it. */
const passDown = async (
  record: Recorder,
  directory: string,
  controllers: readonly string[],
  log?: Log,
): Promise<void> => {
  const file = join(directory, 'cgroup.subtree_control')
  const enabled = wordsOf(read(file))
  for (const controller of controllers.filter((name) => !enabled.includes(name))) {
    try {
      await record.write(file, `+${controller}`)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      // With real-time processes on the host, for example, the kernel does not give `cpu` away.
      log?.warn({ controller, reason: error.message }, 'controller not available')
    }
  }
}

/**
 * A v1 cpuset takes no task while its `cpus` and `mems` are empty. The parent gets the root's, and
 * `clone_children` makes the kernel copy them into each container at its mkdir.
 */
const fillCpuset = async (record: Recorder, root: string, parent: string): Promise<void> => {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const value = read(root, file)
    if (read(parent, file) !== value)
      await record.write(join(parent, file), value, { verify: sameList(value) })
  }
  await record.write(join(parent, 'cgroup.clone_children'), '1')
}

const prepareHierarchy = async (
  record: Recorder,
  names: Names,
  hierarchy: Hierarchy,
  log?: Log,
): Promise<Hierarchy> => {
  const { version, directory, controllers } = hierarchy
  const parent = join(directory, names.cgroupParent)
  if (version === 2) await passDown(record, directory, controllers, log)
  mkdirSync(parent, { recursive: true })
  if (version === 2) await passDown(record, parent, controllers, log)
  if (version === 1 && controllers.includes('cpuset')) await fillCpuset(record, directory, parent)
  mkdirSync(join(directory, names.monitorCgroup), { recursive: true })
  if (version === 1) return hierarchy
  const passed = wordsOf(read(parent, 'cgroup.subtree_control'))
  return { ...hierarchy, controllers: v2Controllers.filter((name) => passed.includes(name)) }
}

/**
 * Makes the cgroup above all containers and the one for their monitors in every hierarchy, and answers
 * the hierarchies with the controllers that really reach the containers. Idempotent.
 */
export const prepareParents = async (
  record: Recorder,
  names: Names,
  hierarchies: readonly Hierarchy[],
  log?: Log,
): Promise<Hierarchy[]> => {
  const prepared: Hierarchy[] = []
  for (const hierarchy of hierarchies) {
    try {
      prepared.push(await prepareHierarchy(record, names, hierarchy, log))
    } catch (error) {
      const where = join(hierarchy.directory, names.cgroupParent)
      throw new Failure('host_unfit', `cannot prepare cgroup ${where}: ${reasonOf(error)}`, { cause: error })
    }
  }
  return prepared
}

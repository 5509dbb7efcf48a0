import { Failure } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import type { Names } from '../../shared/names.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { type Group, groupsOf } from './groups.ts'
import { type Hierarchy, readHierarchies } from './hierarchies.ts'
import { prepareParents } from './parents.ts'

/** The host as the steps see it: its hierarchies and the place of each container in them. */
export interface CgroupHost {
  readonly names: Names
  /** Makes the parents of all containers and learns which controllers reach them. */
  prepare(record: Recorder, log?: Log): Promise<void>
  hierarchies(): readonly Hierarchy[]
  groupsOf(id: string): Group[]
}

const checked = (found: readonly Hierarchy[]): readonly Hierarchy[] => {
  if (process.getuid?.() !== 0) throw new Failure('host_unfit', 'cannot make cgroups: not root')
  if (found.length === 0) {
    throw new Failure('host_unfit', 'cannot make cgroups: none are mounted, mount cgroup2 at /sys/fs/cgroup')
  }
  return found
}

/** `read` finds the hierarchies; another one serves tests of layouts that this host does not have. */
export const cgroupHost = (names: Names, read: () => Hierarchy[] = readHierarchies): CgroupHost => {
  let current: readonly Hierarchy[] | undefined
  // What is mounted does not change while the host runs, so it is read once.
  const hierarchies = () => (current ??= read())
  return {
    names,
    hierarchies,
    groupsOf: (id) => groupsOf(names, hierarchies(), id),
    prepare: async (record, log) => {
      current = await prepareParents(record, names, checked(read()), log)
      const shown = current.map(
        ({ version, controllers }) => `v${version}: ${controllers.join(',') || 'none'}`,
      )
      log?.info({ hierarchies: shown }, 'cgroup hierarchies ready')
    },
  }
}

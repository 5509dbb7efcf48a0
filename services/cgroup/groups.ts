import { join } from 'node:path'
import type { Names } from '../../shared/names.ts'
import type { Hierarchy } from './hierarchies.ts'

/** The directory of one container in one hierarchy. */
export interface Group extends Hierarchy {
  /** The container's cgroup, below the hierarchy's root. */
  path: string
}

/** Where the container's cgroups are or would be: derived from the id alone. */
export const groupsOf = (names: Names, hierarchies: readonly Hierarchy[], id: string): Group[] =>
  hierarchies.map((hierarchy) => ({ ...hierarchy, path: join(hierarchy.directory, names.cgroup(id)) }))

import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { readHierarchies } from '../../services/cgroup/hierarchies.ts'
import { waitFor } from '../../services/namespace/bounded-wait.ts'
import type { NamespaceTestHost } from './namespace-host.ts'

/** A cgroup beside those of containers, in the tree of this host that has such a file; undefined when none has. */
export const cgroupWith = (t: ExecutionContext, { config }: NamespaceTestHost, file: string) => {
  const groups = readHierarchies().map(({ directory }) => join(directory, `${config.names.cgroupParent}-own`))
  for (const group of groups) {
    mkdirSync(group)
    if (existsSync(join(group, file))) {
      t.teardown(() => rmdirSync(group))
      return group
    }
    rmdirSync(group)
  }
  return undefined
}

/** Waits until no process is in the cgroup. */
export const emptied = (group: string) =>
  waitFor(() => readFileSync(join(group, 'cgroup.procs'), 'utf8') === '' || undefined, 5000)

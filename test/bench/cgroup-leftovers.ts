import { readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from '../../shared/failure.ts'
import { readMountTable } from '../../shared/mount-table.ts'

const removeTree = (directory: string): void => {
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      if (entry.isDirectory()) removeTree(join(directory, entry.name))
    rmdirSync(directory)
  } catch (error) {
    // In use by someone else, or never made in this hierarchy.
    if (!['ENOENT', 'EBUSY'].includes(errnoOf(error) ?? '')) throw error
  }
}

/** Removes the cgroups that a peer leaves empty under this name, in every hierarchy of the host. */
export const removeCgroups = async (name: string): Promise<void> => {
  for (const { fsType, mountPoint } of await readMountTable())
    if (fsType === 'cgroup' || fsType === 'cgroup2') removeTree(join(mountPoint, name))
}

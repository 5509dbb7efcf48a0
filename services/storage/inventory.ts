import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../../shared/config.ts'
import type { Leak } from '../../shared/contracts/operations.ts'
import { Failure, errnoOf } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { subvolumeState } from './btrfs.ts'
import { imageDevices, mountedAt, unmountCowFileSystem } from './cow-file-system.ts'
import { listUses } from './volume-uses.ts'

const containerRoots = async (directory: string): Promise<Leak[]> =>
  Promise.all(
    (await readdir(directory)).map(async (id) => {
      const path = join(directory, id)
      const kind = (await subvolumeState(path)) === 'subvolume' ? 'subvolume' : 'directory'
      return { kind, name: path, container: id }
    }),
  )

const listMounted = async ({ names }: Config): Promise<Leak[]> => [
  { kind: 'mount', name: names.cowfs, container: null },
  ...(await containerRoots(names.containers)),
  ...listUses(names).map(({ id, volume }) => ({
    kind: 'volume-use',
    name: `${volume} of ${id}`,
    container: id,
  })),
]

/** What storage has on the host: the loop device, the mount, and each container's root and volumes. */
export const listStorage = async (config: Config): Promise<Leak[]> => {
  const { cowfs } = config.names
  const loops = (await imageDevices(config)).map((name) => ({ kind: 'loop', name, container: null }))
  if (!(await mountedAt(cowfs))) return loops
  try {
    return [...loops, ...(await listMounted(config))]
  } catch (error) {
    // A release was quicker.
    if (errnoOf(error) === 'ENOENT' && !(await mountedAt(cowfs))) return loops
    throw error
  }
}

/** Unmounts and detaches; refuses with `busy` while a container has a root. Images stay in the file. */
export const releaseStorage = async (config: Config, record: Recorder): Promise<string[]> => {
  const containers = (await listStorage(config)).flatMap(({ container }) => container ?? [])
  if (containers.length === 0) return unmountCowFileSystem(config, record)
  throw new Failure(
    'busy',
    `cannot release ${config.names.cowfs}: ${containers.length} containers have their root there`,
    {
      details: { containers: containers.slice(0, 100) },
    },
  )
}

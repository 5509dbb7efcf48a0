import { readdir } from 'node:fs/promises'
import type { Mount } from '../../shared/contracts/mount.ts'
import type { KeyedQueue } from '../../shared/keyed-queue.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { resolveInRoot } from './btrfs.ts'
import type { StorageHost } from './root-snapshot.ts'
import { makeVolume, markUsed, readAbout, volumeExists } from './volume.ts'
import { noteUse } from './volume-uses.ts'

const hasEntries = async (path: string): Promise<boolean> => (await readdir(path)).length > 0

/** The image's directory at the volume's place, if there is something in it. Nothing runs in the root yet that could change its links. */
const contentAt = async (rootfs: string, { destination, options }: Mount): Promise<string | undefined> => {
  if (options.includes('nocopy')) return undefined
  const path = await resolveInRoot(rootfs, destination)
  return path !== undefined && (await hasEntries(path)) ? path : undefined
}

const ensureVolume = async (
  host: StorageHost,
  { id, rootfs, mount }: { id: string; rootfs: string; mount: Mount },
  record: Recorder,
): Promise<void> => {
  const { names } = host.config
  const name = mount.source
  // First: from then on nobody removes it.
  noteUse(names, { id, volume: name })
  const about = await readAbout(names, name)
  const isThere = await volumeExists(names, name)
  if (isThere && (about?.used ?? true)) return
  if (isThere && (await hasEntries(names.volume(name)))) return markUsed(names, name)
  const from = await contentAt(rootfs, mount)
  await makeVolume(host, { name, from, about: { ...about, used: true } }, record)
}

/**
 * Makes the container's named volumes that are not there yet, as Docker does with the image's content at
 * their place; answers each one's directory by its name. Like Docker's they outlive a failed create.
 */
export const ensureVolumes = async (
  { host, queue }: { host: StorageHost; queue: KeyedQueue },
  container: { id: string; rootfs: string; mounts: readonly Mount[] },
  record: Recorder,
): Promise<Record<string, string>> => {
  const mounts = container.mounts.filter(({ type }) => type === 'volume')
  for (const mount of mounts)
    await queue.run(mount.source, () => ensureVolume(host, { ...container, mount }, record))
  return Object.fromEntries(mounts.map(({ source }) => [source, host.config.names.volume(source)]))
}

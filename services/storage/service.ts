import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '../../shared/config.ts'
import { objects, release } from '../../shared/contracts/operations.ts'
import { storage } from '../../shared/contracts/steps.ts'
import { Failure } from '../../shared/failure.ts'
import { createKeyedQueue } from '../../shared/keyed-queue.ts'
import { operating } from '../../shared/operating.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { pageOfObjects } from '../../shared/object-pages.ts'
import { type HostServiceDefinition, endpoint, stepEndpoints } from '../../shared/service.ts'
import { enableQuota, prepareSnapshots, sweepGroups } from './btrfs.ts'
import { mountCowFileSystem } from './cow-file-system.ts'
import { ensureDefaultImage } from './default-image.ts'
import { removeDrafts } from './image-draft.ts'
import { imageEndpoints } from './image-endpoints.ts'
import { listStorage, releaseStorage } from './inventory.ts'
import { ensureVolumes } from './container-volumes.ts'
import { storageFacts } from './storage-facts.ts'
import { createReadyRoots } from './ready-roots.ts'
import { createRoot, deleteRoot } from './root-snapshot.ts'
import { sweepUploads } from './uploads.ts'
import { removeVolumeDrafts } from './volume.ts'
import { volumeEndpoints } from './volume-endpoints.ts'
import { forgetUses } from './volume-uses.ts'

/** Uploads that nobody goes on with are looked for so often. */
const sweepEveryMs = 60 * 60_000

/** Owns the copy-on-write file system: images, and each container's root as a snapshot of one. */
export const storageService = (config: Config): HostServiceDefinition => {
  const { names } = config
  const volumes = createKeyedQueue()
  let released = false
  let hasQuota = false
  const users = new Set<Promise<unknown>>()
  /** Once a release has begun only a start mounts the file system again: whoever still asks would leave it mounted. */
  const inUse = async <T>(act: () => Promise<T>): Promise<T> => {
    if (released)
      throw new Failure('unavailable', `${names.cowfs} is released; start the stack with "dolly up"`)
    const using = act()
    users.add(using)
    try {
      return await using
    } finally {
      users.delete(using)
    }
  }
  const host = () => ({ config, hasQuota })
  const readyRoots = createReadyRoots({ host, inUse })
  const releaseAll = async (record: Recorder): Promise<string[]> => {
    released = true
    try {
      await Promise.allSettled(users)
      return await releaseStorage(config, record)
    } catch (error) {
      released = false
      throw error
    }
  }
  return {
    name: 'storage',
    description: 'Images and the root file systems of containers on btrfs',
    prepare: ({ record, log }) =>
      operating(`prepare ${names.cowfs}`, async () => {
        prepareSnapshots()
        await mountCowFileSystem(config, record)
        // A directory of someone else's file system takes no quotas of ours.
        hasQuota = !config.cowfsDirectory && (await enableQuota(record, names.cowfs))
        if (hasQuota) await sweepGroups(record, names.cowfs)
        await removeDrafts(names, record)
        await removeVolumeDrafts(names, record)
        await readyRoots.prepare({ record, log })
        await sweepUploads(names)
        await ensureDefaultImage(config, record, log)
      }),
    watch: async ({ log }, signal) => {
      while (!signal.aborted) {
        await delay(sweepEveryMs, undefined, { signal }).catch(() => undefined) // aborted
        await operating('sweep up uploads', () => sweepUploads(names)).catch((error: unknown) => {
          if (!(error instanceof Failure)) throw error
          log.warn({ reason: error.message }, 'uploads that nobody goes on with stay')
        })
      }
    },
    facts: () =>
      operating(`look at ${names.cowfs}`, async () =>
        released ? {} : inUse(() => storageFacts(names, hasQuota)),
      ),
    endpoints: [
      ...stepEndpoints(storage, {
        do: (input, { record }) =>
          operating(`create root of ${input.id}`, () =>
            inUse(async () => {
              const root = await createRoot(host(), readyRoots.take, input, record)
              const container = { ...input, rootfs: root.rootfs }
              const parts = { host: host(), queue: volumes }
              return { ...root, volumes: await ensureVolumes(parts, container, record) }
            }),
          ),
        // Nothing is released while a container has a root there.
        undo: async ({ id }, { record }) =>
          released
            ? undefined
            : operating(`delete root of ${id}`, () =>
                inUse(async () => {
                  await deleteRoot(config, id, record)
                  forgetUses(names, id)
                }),
              ),
      }),
      ...imageEndpoints({ config, readyRoots, inUse }),
      ...volumeEndpoints({ host, queue: volumes, inUse }),
      endpoint(objects.storage, ({ cursor }) =>
        operating(`list ${names.cowfs}`, async () => pageOfObjects(await listStorage(config), cursor)),
      ),
      endpoint(release.storage, (_, { record }) =>
        operating(`release ${names.cowfs}`, async () => ({ released: await releaseAll(record) })),
      ),
    ],
  }
}

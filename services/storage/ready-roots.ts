import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ulid } from 'ulid'
import { Failure } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { operating } from '../../shared/operating.ts'
import { type Recorder, type TranscriptEntry, createRecorder } from '../../shared/recorder.ts'
import { deleteSubvolume, renameSubvolume, snapshot, subvolumeState } from './btrfs.ts'
import { imagePath } from './image-catalogue.ts'
import type { StorageHost } from './root-snapshot.ts'
import { requireSpace } from './space.ts'

/** Images that roots are kept ready of: those that were used last. */
const mostImages = 4

/**
 * How long after the last launch: what begins one leaves the processors to it, and what waits for a commit
 * of its own must not make others wait.
 */
const quietMs = 25

interface ReadyRoot {
  path: string
  /** How it was made, for the record of the container that gets it. */
  made: readonly TranscriptEntry[]
}

interface ReadyRootsParts {
  host: () => StorageHost
  /** Keeps the file system from being released meanwhile. */
  inUse: <T>(act: () => Promise<T>) => Promise<T>
}

/**
 * Snapshots of images that no container has yet: to make one waits for btrfs to write a transaction, to
 * rename one does not. A loss of power may take the rename back until the next transaction, which the
 * snapshot that takes its place writes; btrfs commits it with whatever the container syncs before
 * (`btrfs_rename`), so nothing of a container is ever in a root that is ready.
 */
export const createReadyRoots = ({ host, inUse }: ReadyRootsParts) => {
  const ready = new Map<string, ReadyRoot[]>()
  let log: Log | undefined
  let timer: NodeJS.Timeout | undefined
  let filling = false

  const discard = async (roots: readonly Pick<ReadyRoot, 'path'>[], record: Recorder): Promise<void> => {
    for (const { path } of roots)
      if ((await subvolumeState(path)) === 'subvolume') await deleteSubvolume(record, path)
  }

  const forget = async (digest: string, record: Recorder): Promise<void> => {
    const roots = ready.get(digest) ?? []
    ready.delete(digest)
    await discard(roots, record)
  }

  const add = async (digest: string): Promise<void> => {
    const { config, hasQuota } = host()
    const { names, rootSizeBytes } = config
    if ((await subvolumeState(imagePath(names, digest))) !== 'subvolume') return
    requireSpace(config, 'have a root ready')
    const record = createRecorder()
    const root = { path: join(names.readyRoots, ulid()), made: record.entries }
    await snapshot(record, imagePath(names, digest), root.path, hasQuota ? rootSizeBytes : undefined)
    const roots = ready.get(digest)
    if (roots) roots.push(root)
    else await discard([root], record)
  }

  const fill = async (): Promise<void> => {
    const record = createRecorder()
    for (const digest of [...ready.keys()].slice(0, -mostImages)) await forget(digest, record)
    for (const [digest, roots] of Array.from(ready)) {
      const lacking = Math.max(0, host().config.host.readyRoots - roots.length)
      // Together, for one transaction.
      const added = await Promise.allSettled(Array.from({ length: lacking }, () => add(digest)))
      const failed = added.find(({ status }) => status === 'rejected')
      if (failed?.status === 'rejected') throw failed.reason
    }
  }

  const refill = async (): Promise<void> => {
    if (filling) return schedule()
    filling = true
    try {
      await operating('make roots ahead of need', () => inUse(fill))
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      log?.warn({ reason: error.message }, 'no roots are made ahead of need')
    } finally {
      filling = false
    }
  }

  const schedule = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => void refill(), quietMs)
    timer.unref()
  }

  return {
    /** Deletes what an earlier process had ready. */
    prepare: async (context: { record: Recorder; log: Log }): Promise<void> => {
      log = context.log
      const { readyRoots } = host().config.names
      const left = await readdir(readyRoots)
      await Promise.all(left.map((name) => discard([{ path: join(readyRoots, name) }], context.record)))
    },
    /** Makes a ready root of the image the one at `path`; answers false when there is none. Has others made later. */
    take: async (digest: string, path: string, record: Recorder): Promise<boolean> => {
      if (host().config.host.readyRoots === 0) return false
      const roots = ready.get(digest) ?? []
      // The image that was used last comes last.
      ready.delete(digest)
      ready.set(digest, roots)
      schedule()
      for (let root = roots.shift(); root; root = roots.shift()) {
        if ((await subvolumeState(root.path)) === 'absent') continue
        record.append(root.made.map((entry) => ({ ...entry, ahead: true })))
        try {
          await renameSubvolume(record, root.path, path)
          return true
        } catch (error) {
          roots.push(root)
          throw error
        }
      }
      return false
    },
    /** Deletes the ready roots of an image, so that its space is free when it is removed. */
    forget,
  }
}

export type ReadyRoots = ReturnType<typeof createReadyRoots>

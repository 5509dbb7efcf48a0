import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ulid } from 'ulid'
import { type Recorder, type TranscriptEntry, createRecorder } from '../../shared/recorder.ts'
import { deleteSubvolume, snapshot, subvolumeState } from './btrfs.ts'
import { imagePath } from './image-catalogue.ts'
import type { StorageHost } from './root-snapshot.ts'
import { requireSpace } from './space.ts'

/**
 * Directories that roots are made in. A snapshot holds its directory until its transaction is written, so that
 * those in one directory take a transaction each, and those in several share one.
 */
export const slots = 32

/** A snapshot that no container has yet. */
export interface ReadyRoot {
  path: string
  /** How it was made, for the record of the container that gets it. */
  made: readonly TranscriptEntry[]
  /** When, by `performance.now()`. */
  at: number
}

/** Makes roots in the slots by turns, and deletes them. */
export const createRootMaker = (host: () => StorageHost) => {
  let turn = 0
  const slotPath = (slot: number): string => join(host().config.names.readyRoots, String(slot))
  const discard = async (paths: readonly string[], record: Recorder): Promise<void> => {
    for (const path of paths)
      if ((await subvolumeState(path)) === 'subvolume') await deleteSubvolume(record, path)
  }
  return {
    /** Deletes those that are there. */
    discard,
    /** Answers undefined when the image is gone. Throws `Failure`. */
    make: async (digest: string): Promise<ReadyRoot | undefined> => {
      const { config, hasQuota } = host()
      const { names, rootSizeBytes } = config
      if ((await subvolumeState(imagePath(names, digest))) !== 'subvolume') return undefined
      requireSpace(config, 'have a root ready')
      const record = createRecorder()
      const path = join(slotPath(turn++ % slots), ulid())
      await snapshot(record, imagePath(names, digest), path, hasQuota ? rootSizeBytes : undefined)
      return { path, made: record.entries, at: performance.now() }
    },
    /** Makes the slots, and deletes what an earlier process had ready. */
    prepare: async (record: Recorder): Promise<void> => {
      const { readyRoots } = host().config.names
      for (let slot = 0; slot < slots; slot++) await mkdir(slotPath(slot), { recursive: true, mode: 0o700 })
      const left = await readdir(readyRoots)
      await Promise.all(
        left.map(async (name) => {
          const path = join(readyRoots, name)
          const within = (await subvolumeState(path)) === 'subvolume' ? [] : await readdir(path)
          await discard([path, ...within.map((root) => join(path, root))], record)
        }),
      )
    },
  }
}

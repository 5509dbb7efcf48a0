import { readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../../shared/config.ts'
import type { ImageConfig } from '../../shared/contracts/oci.ts'
import { Failure } from '../../shared/failure.ts'
import type { Names } from '../../shared/names.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { createSubvolume, deleteSubvolume, setReadOnly, subvolumeState, syncFileSystem } from './btrfs.ts'
import { digestPattern, imagePath, writeMetadata } from './image-catalogue.ts'

/** An image in the making: a subvolume whose name no digest can have. Disposing deletes it unless it was committed. */
export interface Draft extends AsyncDisposable {
  path: string
  /** The image of this digest is there already; nothing was made. */
  exists: boolean
  committed: boolean
}

const draftPrefix = '.draft-'

const draftPath = (names: Names, digest: string): string =>
  join(names.images, `${draftPrefix}${digest.slice(-64)}`)

const discard = async (path: string, record: Recorder): Promise<void> => {
  if ((await subvolumeState(path)) === 'subvolume') await deleteSubvolume(record, path)
}

/** Begins an image, on top of nothing: what an earlier attempt left is deleted. */
export const draftImage = async ({ names }: Config, digest: string, record: Recorder): Promise<Draft> => {
  const path = draftPath(names, digest)
  const exists = (await subvolumeState(imagePath(names, digest))) === 'subvolume'
  if (!exists) {
    await discard(path, record)
    await createSubvolume(record, path)
  }
  const draft: Draft = {
    path,
    exists,
    committed: false,
    [Symbol.asyncDispose]: async () => {
      if (exists || draft.committed) return
      await discard(path, record).catch((error: unknown) => {
        if (!(error instanceof Failure)) throw error // else the next import of it, or start, discards it
      })
    },
  }
  return draft
}

const sizeOf = async (record: Recorder, path: string): Promise<number> => {
  const shown = await record.run('du', ['--summarize', '--one-file-system', '--block-size=1', path], {
    timeoutMs: 600_000,
  })
  return Number.parseInt(shown, 10)
}

/** Makes the draft the image: what is on disk first, then its metadata, then its name. A crash leaves a draft or an image. */
export const commitImage = async (
  { names }: Config,
  { digest, draft, config }: { digest: string; draft: Draft; config: ImageConfig },
  record: Recorder,
): Promise<void> => {
  const size = await sizeOf(record, draft.path)
  await setReadOnly(record, draft.path)
  await syncFileSystem(record, names.cowfs)
  await writeMetadata(names, digest, { config, createdAt: new Date().toISOString(), size })
  const target = imagePath(names, digest)
  await record.call(`mv ${draft.path} ${target}`, () => rename(draft.path, target))
  draft.committed = true
  await syncFileSystem(record, names.cowfs)
}

/** Deletes what imports that did not end have left: drafts, and metadata without an image. */
export const removeDrafts = async (names: Names, record: Recorder): Promise<void> => {
  const entries = await readdir(names.images)
  for (const name of entries.filter((entry) => entry.startsWith(draftPrefix)))
    await discard(join(names.images, name), record)
  const images = new Set(entries.filter((name) => digestPattern.test(name)))
  for (const name of entries) {
    const isOrphan = name.endsWith('.json') && !images.has(name.slice(0, -'.json'.length))
    if (isOrphan || name.startsWith('.part-')) await rm(join(names.images, name), { force: true })
  }
}

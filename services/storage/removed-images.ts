import { link, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { absentIsSuccess, errnoOf } from '../../shared/failure.ts'
import type { Names } from '../../shared/names.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { parentsOf, showSubvolume } from './btrfs.ts'
import { Metadata, imagePath, metadataPath, readJson } from './image-catalogue.ts'

/** A root that is being made when its image goes is listed by then. */
const settledMs = 600_000

/** `<uuid>.<digest>.json`: btrfs knows the UUID as the parent of the roots that were made of the image. */
const listKept = async ({
  removedImages,
}: Names): Promise<{ uuid: string; digest: string; path: string }[]> => {
  const names: string[] = []
  await absentIsSuccess(async () => names.push(...(await readdir(removedImages))))
  return names.flatMap((name) => {
    const [uuid, digest] = name.split('.')
    return uuid && digest ? [{ uuid, digest, path: join(removedImages, name) }] : []
  })
}

/** What containers were made with of an image that was removed, by their root's parent; undefined when it was none. */
export const readRemoved = async (names: Names, parentUuid: string) => {
  const kept = (await listKept(names)).find(({ uuid }) => uuid === parentUuid)
  const metadata = kept && (await readJson(kept.path, Metadata))
  return kept && metadata && { digest: kept.digest, config: metadata.config }
}

/** Keeps of an image that is about to be removed what a container of it needs to be started again. */
export const keepRemoved = async (names: Names, digest: string, record: Recorder): Promise<void> => {
  const { uuid } = await showSubvolume(record, imagePath(names, digest))
  await mkdir(names.removedImages, { recursive: true, mode: 0o700 })
  try {
    // A link takes no space for data, of which there may be none: then images are removed above all.
    await link(metadataPath(names, digest), join(names.removedImages, `${uuid}.${digest}.json`))
  } catch (error) {
    // It was kept before a crash, or there is nothing to keep.
    if (errnoOf(error) !== 'EEXIST' && errnoOf(error) !== 'ENOENT') throw error
  }
}

/** Forgets the removed images of which there is no container any more. */
export const forgetRemoved = async (
  names: Names,
  record: Recorder,
  olderThanMs = settledMs,
): Promise<void> => {
  const kept = await listKept(names)
  if (kept.length === 0) return
  const parents = await parentsOf(record, names.cowfs)
  for (const { uuid, path } of kept)
    if (!parents.has(uuid) && Date.now() - (await stat(path)).ctimeMs >= olderThanMs) await rm(path)
}

import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { ImageConfig } from '../../shared/contracts/oci.ts'
import { writeDurably } from '../../shared/durable-file.ts'
import { absentIsSuccess } from '../../shared/failure.ts'
import type { Names } from '../../shared/names.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { parentsOf, showSubvolume } from './btrfs.ts'
import { imagePath, readJson, readMetadata } from './image-catalogue.ts'

const Removed = z.object({ digest: z.string(), config: ImageConfig })
type Removed = z.infer<typeof Removed>

/** A root that is being made when its image goes is listed by then. */
const settledMs = 600_000

const pathOf = (names: Names, uuid: string): string => join(names.removedImages, `${uuid}.json`)

/** What containers were made with of an image that was removed, by what btrfs says is their root's parent; undefined when it was none. */
export const readRemoved = (names: Names, uuid: string): Promise<Removed | undefined> =>
  readJson(pathOf(names, uuid), Removed)

/** Keeps of an image, before it is removed, what a container of it needs to be started again. */
export const keepRemoved = async (names: Names, digest: string, record: Recorder): Promise<void> => {
  const metadata = await readMetadata(names, digest)
  if (!metadata) return
  const { uuid } = await showSubvolume(record, imagePath(names, digest))
  await mkdir(names.removedImages, { recursive: true, mode: 0o700 })
  const removed: Removed = { digest, config: metadata.config }
  await writeDurably(pathOf(names, uuid), JSON.stringify(removed))
}

/** Forgets the removed images of which there is no container any more. */
export const forgetRemoved = async (names: Names, record: Recorder): Promise<void> => {
  const kept: string[] = []
  await absentIsSuccess(async () => kept.push(...(await readdir(names.removedImages))))
  if (kept.length === 0) return
  const parents = await parentsOf(record, names.cowfs)
  for (const name of kept) {
    const path = join(names.removedImages, name)
    if (parents.has(name.replace(/\.json$/, ''))) continue
    if (Date.now() - (await stat(path)).mtimeMs > settledMs) await rm(path, { force: true })
  }
}

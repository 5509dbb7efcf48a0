import { readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { withTag } from '../../shared/contracts/identity.ts'
import { ImageConfig } from '../../shared/contracts/oci.ts'
import type { Image } from '../../shared/contracts/operations.ts'
import { writeDurably } from '../../shared/durable-file.ts'
import { Failure, errnoOf, reasonOf } from '../../shared/failure.ts'
import type { Names } from '../../shared/names.ts'
import { nearest } from '../../shared/nearest.ts'

const Tag = z.object({ digest: z.string() })
/** What is kept beside an image's subvolume, which itself is nothing but the image. */
export const Metadata = z.object({ config: ImageConfig, createdAt: z.string(), size: z.number() })
export type Metadata = z.infer<typeof Metadata>

/** `sha256:` and 64 hexadecimal digits: also the name of the image's subvolume. */
export const digestPattern = /^sha256:[0-9a-f]{64}$/

export const imagePath = (names: Names, digest: string): string => join(names.images, digest)
export const metadataPath = (names: Names, digest: string): string => join(names.images, `${digest}.json`)
export const tagPath = (names: Names, reference: string): string =>
  join(names.tags, encodeURIComponent(withTag(reference)))

/** A file name has 255 bytes, and the file gets its name by way of one that begins `.part-`. */
const longestTagFile = 255 - '.part-'.length

/** Refuses a reference that is too long to be kept, before any work is done for it. */
export const checkReference = (names: Names, reference: string): void => {
  const over = basename(tagPath(names, reference)).length - longestTagFile
  if (over > 0)
    throw new Failure(
      'invalid_message',
      `cannot name an image "${reference}": it is too long, each "/" counts as 3 characters`,
    )
}

/** A small file, or undefined when there is none. Synchronous inside: two are read on the launch path. Throws `Failure` (`system`). */
export const readJson = async <S extends z.ZodType>(
  path: string,
  schema: S,
): Promise<z.output<S> | undefined> => {
  try {
    return schema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (error) {
    // A reference of many slashes can be longer in its file's name than a name may be.
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENAMETOOLONG') return undefined
    throw new Failure('system', `cannot read ${path}: ${reasonOf(error)}`, { cause: error })
  }
}

export const readMetadata = (names: Names, digest: string) => readJson(metadataPath(names, digest), Metadata)

export const writeMetadata = (names: Names, digest: string, metadata: Metadata) =>
  writeDurably(metadataPath(names, digest), JSON.stringify(metadata))

export const writeTag = (names: Names, reference: string, digest: string) =>
  writeDurably(tagPath(names, reference), JSON.stringify({ digest }))

/** Every tag with the digest it names. */
export const readTags = async (names: Names): Promise<Map<string, string>> => {
  const files = (await readdir(names.tags)).filter((file) => !file.startsWith('.'))
  const tags = new Map<string, string>()
  for (const file of files.toSorted()) {
    const tag = await readJson(join(names.tags, file), Tag)
    if (tag) tags.set(decodeURIComponent(file), tag.digest)
  }
  return tags
}

/** The digests that have a subvolume. */
export const readDigests = async (names: Names): Promise<string[]> =>
  (await readdir(names.images)).filter((name) => digestPattern.test(name)).toSorted()

/** `image_not_found`, with the nearest tag that exists. */
export const imageNotFound = async (names: Names, reference: string): Promise<Failure> => {
  const tags = [...(await readTags(names)).keys()]
  const spelled = tags.flatMap((tag) => [tag, tag.slice(0, tag.lastIndexOf(':'))])
  const near = nearest(reference, spelled)
  const hint = near
    ? `did you mean "${near}"?`
    : tags.length > 0
      ? `there are ${tags.slice(0, 5).join(', ')}`
      : 'there are none'
  return new Failure('image_not_found', `cannot find image "${reference}": ${hint}`, {
    details: { reference, nearest: near ?? null },
  })
}

/** The image that a tag names, or undefined: one small file read. */
export const resolveTag = async (names: Names, reference: string): Promise<string | undefined> =>
  (await readJson(tagPath(names, reference), Tag))?.digest

/** The image as users see it. */
export const describeImage = async (
  names: Names,
  digest: string,
  tags: Map<string, string>,
): Promise<Image | undefined> => {
  const metadata = await readMetadata(names, digest)
  if (!metadata) return undefined
  return { digest, tags: [...tags].filter(([, named]) => named === digest).map(([tag]) => tag), ...metadata }
}

/** Every image, newest first. */
export const listImages = async (names: Names): Promise<Image[]> => {
  const tags = await readTags(names)
  const images = await Promise.all(
    (await readDigests(names)).map((digest) => describeImage(names, digest, tags)),
  )
  return images
    .filter((image) => image !== undefined)
    .toSorted((a, b) => b.createdAt.localeCompare(a.createdAt))
}

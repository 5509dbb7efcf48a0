import { rm } from 'node:fs/promises'
import { withTag } from '../../shared/contracts/identity.ts'
import { Failure } from '../../shared/failure.ts'
import type { Names } from '../../shared/names.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { deleteSubvolume, subvolumeState } from './btrfs.ts'
import { imageNotFound, imagePath, metadataPath, readDigests, readTags, tagPath } from './image-catalogue.ts'
import { forgetRemoved, keepRemoved } from './removed-images.ts'

/** A digest is meant by `sha256:` or at least these many hexadecimal digits. */
const leastPrefix = 4

const byPrefix = async (names: Names, reference: string): Promise<string> => {
  const prefix = reference.replace(/^sha256:/, '')
  const isPrefix = new RegExp(`^[0-9a-f]{${leastPrefix},64}$`).test(prefix)
  const found = isPrefix
    ? (await readDigests(names)).filter((digest) => digest.startsWith(`sha256:${prefix}`))
    : []
  const [digest, other] = found
  if (!digest) throw await imageNotFound(names, reference)
  if (other)
    throw new Failure(
      'conflict',
      `cannot remove image "${reference}": ${found.length} digests begin so, give more of it`,
    )
  return digest
}

/**
 * Removes a tag, and the image with its last tag; or by digest the image with all its tags. Always
 * safe: a container's root is a snapshot, which shares the image's data but does not need the image; what
 * its process needs of it is kept.
 */
export const removeImage = async (names: Names, reference: string, record: Recorder) => {
  const tags = await readTags(names)
  const tag = withTag(reference)
  const named = tags.get(tag)
  const digest = named ?? (await byPrefix(names, reference))
  const untagged = named ? [tag] : [...tags].filter(([, other]) => other === digest).map(([name]) => name)
  for (const name of untagged) await rm(tagPath(names, name), { force: true })
  const isStillNamed = [...tags].some(([name, other]) => other === digest && !untagged.includes(name))
  if (isStillNamed) return { untagged, deleted: [] }
  const path = imagePath(names, digest)
  if ((await subvolumeState(path)) === 'subvolume') {
    await keepRemoved(names, digest, record)
    await deleteSubvolume(record, path)
  }
  await rm(metadataPath(names, digest), { force: true })
  await forgetRemoved(names, record)
  return { untagged, deleted: [digest] }
}

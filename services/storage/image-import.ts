import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, stat } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { z } from 'zod'
import type { Config } from '../../shared/config.ts'
import { withTag } from '../../shared/contracts/identity.ts'
import type { Image, imageImport } from '../../shared/contracts/operations.ts'
import { Failure, errnoOf, reasonOf } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { ensureMounted, jailPath } from './cow-file-system.ts'
import { type ImportLimits, extract } from './extraction.ts'
import {
  checkReference,
  describeImage,
  readMetadata,
  readTags,
  writeMetadata,
  writeTag,
} from './image-catalogue.ts'
import { type Draft, commitImage, draftImage } from './image-draft.ts'
import { freeBytes, requireSpace } from './space.ts'

type Input = Omit<z.output<typeof imageImport.input>, 'path' | 'upload'> & { path: string }

/** Far beyond any honest root file system. */
export const importLimits: ImportLimits = { maxBytes: 8 * 2 ** 30, maxEntries: 500_000, timeoutMs: 600_000 }

/** An import may take most of what is free, never all: running containers write to the same file system. */
const shareOfFree = 0.9

const refused = (path: string, code: Failure['code'], reason: string, cause?: unknown) =>
  new Failure(code, `cannot import ${path}: ${reason}`, { cause })

const checkFile = async (path: string): Promise<void> => {
  if (!isAbsolute(path)) throw refused(path, 'invalid_message', 'give an absolute path on this host')
  try {
    const file = await stat(path)
    if (!file.isFile())
      throw refused(path, 'invalid_message', 'it is no file; give a tar made by "docker export"')
  } catch (error) {
    if (error instanceof Failure) throw error
    const code = errnoOf(error) === 'ENOENT' ? 'not_found' : 'invalid_message'
    throw refused(path, code, reasonOf(error), error)
  }
}

const digestOf = (path: string, record: Recorder): Promise<string> =>
  record.call(`sha256sum ${path}`, async () => {
    const hash = createHash('sha256')
    await pipeline(createReadStream(path), hash)
    return `sha256:${hash.digest('hex')}`
  })

const has = async (root: string, name: string): Promise<boolean> => {
  try {
    await lstat(join(root, name))
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}

/** `docker save` and OCI layouts are tars of tars: unpacked they make a root without anything to run. */
const checkRoot = async (path: string, root: string): Promise<void> => {
  const isArchive = (await has(root, 'manifest.json')) || (await has(root, 'oci-layout'))
  if (isArchive && !(await has(root, 'bin')) && !(await has(root, 'usr'))) {
    throw refused(path, 'unsupported', 'it is made by "docker save"; give the tar of "docker export"')
  }
}

const unpack = async (
  config: Config,
  { path, digest, draft, limits }: { path: string; digest: string; draft: Draft; limits: ImportLimits },
  record: Recorder,
): Promise<void> => {
  requireSpace(config, `import ${path}`)
  const free = freeBytes(config.names.cowfs)
  const maxBytes = Math.min(limits.maxBytes, Math.floor(free * shareOfFree))
  try {
    const jail = jailPath(config.names)
    const unpacked = await extract(record, { path, into: draft.path, jail, limits: { ...limits, maxBytes } })
    if (unpacked !== digest) throw new Failure('conflict', 'it was written to at the same time')
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    throw refused(path, error.code, error.message, error)
  }
  await checkRoot(path, draft.path)
}

/**
 * Makes an image of a tar from `docker export` and names it. The same tar again is the same image:
 * it gets the name, and the configuration when one is given.
 */
export const importImage = async (
  config: Config,
  { reference, path, config: imageConfig }: Input,
  record: Recorder,
  limits = importLimits,
): Promise<Image> => {
  const { names } = config
  checkReference(names, reference)
  await checkFile(path)
  await ensureMounted(config, record)
  const digest = await digestOf(path, record)
  await using draft = await draftImage(config, digest, record)
  if (!draft.exists) {
    await unpack(config, { path, digest, draft, limits }, record)
    await commitImage(config, { digest, draft, config: imageConfig }, record)
  } else if (Object.keys(imageConfig).length > 0) {
    const metadata = await readMetadata(names, digest)
    if (metadata) await writeMetadata(names, digest, { ...metadata, config: imageConfig })
  }
  await writeTag(names, withTag(reference), digest)
  const image = await describeImage(names, digest, await readTags(names))
  if (!image) throw new Failure('system', `cannot find image ${digest} after its import`)
  return image
}

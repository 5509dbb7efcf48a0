import { rm } from 'node:fs/promises'
import type { z } from 'zod'
import type { Config } from '../../shared/config.ts'
import type { storage } from '../../shared/contracts/steps.ts'
import { Failure, reasonOf } from '../../shared/failure.ts'
import type { Names } from '../../shared/names.ts'
import type { Recorder } from '../../shared/recorder.ts'
import {
  deleteSubvolume,
  limitSubvolume,
  limitWithNested,
  showSubvolume,
  snapshot,
  subvolumeState,
} from './btrfs.ts'
import { ensureMounted } from './cow-file-system.ts'
import { imageNotFound, imagePath, readDigests, readMetadata, resolveTag } from './image-catalogue.ts'
import { readRemoved } from './removed-images.ts'
import { freeBytes, humanSize, requireSpace } from './space.ts'

type Input = z.output<typeof storage.input>
/** What the step answers of the root alone. */
type Output = Omit<z.output<typeof storage.output>, 'volumes'>

/** What roots are made with: the configuration, and whether the file system can limit them. */
export interface StorageHost {
  config: Config
  hasQuota: boolean
}

/** Where a root may come from that was made ahead of need. */
type TakeReady = (digest: string, path: string, record: Recorder) => Promise<boolean>

const outputOf = async (
  names: Names,
  id: string,
  { digest, image }: { digest: string; image: string },
): Promise<Output> => {
  const metadata = await readMetadata(names, digest)
  if (!metadata) throw await imageNotFound(names, image)
  return { rootfs: names.rootfs(id), imageDigest: digest, imageConfig: metadata.config }
}

/** Of the image that an existing root was made of, which may be gone, and its tag may name another one. */
const existingOutputOf = async (names: Names, { id, image }: Input, record: Recorder): Promise<Output> => {
  const { parentUuid = '' } = await showSubvolume(record, names.rootfs(id))
  for (const digest of await readDigests(names)) {
    if ((await showSubvolume(record, imagePath(names, digest))).uuid === parentUuid)
      return outputOf(names, id, { digest, image })
  }
  const removed = await readRemoved(names, parentUuid)
  if (removed) return { rootfs: names.rootfs(id), imageDigest: removed.digest, imageConfig: removed.config }
  throw new Failure(
    'conflict',
    `cannot create container ${id}: its root exists already, of nothing that was an image; delete it first`,
  )
}

const refusal = async (config: Config, { id, image }: Input, cause: Failure): Promise<Failure> => {
  const { names } = config
  const digest = await resolveTag(names, image)
  if (!digest || (await subvolumeState(imagePath(names, digest))) === 'absent')
    return imageNotFound(names, image)
  if (cause.code !== 'no_space')
    return new Failure(cause.code, `cannot create root of ${id}: ${cause.message}`, { cause })
  const free = freeBytes(names.cowfs)
  return new Failure('no_space', `cannot create root of ${id}: ${humanSize(free)} left in ${names.cowfs}`, {
    details: { freeBytes: free },
    cause,
  })
}

/** The default filter refuses to make subvolumes, which the group of one alone would not count. */
const isAlone = ({ seccomp }: Input): boolean => seccomp === 'default'

const limitOf = ({ config }: StorageHost, { rootSizeBytes }: Input): number =>
  rootSizeBytes ?? config.rootSizeBytes

/** Whoever asks for a size gets it or is refused; the node's own default holds where the kernel can. */
const limitRoot = async (host: StorageHost, input: Input, record: Recorder): Promise<void> => {
  const { config, hasQuota } = host
  const { id, rootSizeBytes } = input
  const limit = isAlone(input) ? limitSubvolume : limitWithNested
  if (hasQuota) return limit(record, config.names.rootfs(id), limitOf(host, input))
  if (rootSizeBytes === null) return
  throw new Failure(
    'unsupported',
    `cannot limit the size of ${id}: this host has no simple quotas of btrfs (Linux 6.7, a file system of Dolly's own)`,
  )
}

/** Ready roots have the node's default limit, or none where the kernel has none. */
const isUsual = (host: StorageHost, input: Input): boolean =>
  host.hasQuota
    ? isAlone(input) && limitOf(host, input) === host.config.rootSizeBytes
    : input.rootSizeBytes === null

const makeRoot = async (
  host: StorageHost,
  takeReady: TakeReady,
  input: Input,
  record: Recorder,
): Promise<Output> => {
  const { config, hasQuota } = host
  const { names } = config
  const digest = await resolveTag(names, input.image)
  if (!digest) throw await imageNotFound(names, input.image)
  const output = await outputOf(names, input.id, { digest, image: input.image })
  requireSpace(config, `create root of ${input.id}`)
  if (isUsual(host, input) && (await takeReady(digest, names.rootfs(input.id), record))) return output
  const limitBytes = hasQuota && isAlone(input) ? limitOf(host, input) : undefined
  try {
    await snapshot(record, imagePath(names, digest), names.rootfs(input.id), limitBytes)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    throw await refusal(config, input, error)
  }
  if (limitBytes === undefined) await limitRoot(host, input, record)
  return output
}

const removeDirectory = (record: Recorder, path: string): Promise<void> =>
  record.call(`rm -r ${path}`, async () => {
    try {
      await rm(path, { recursive: true, force: true })
    } catch (error) {
      throw new Failure('system', `cannot remove ${path}: ${reasonOf(error)}`, { cause: error })
    }
  })

/** Makes the container's writable root out of the image's subvolume; answers the existing one when it is there. */
export const createRoot = async (
  host: StorageHost,
  takeReady: TakeReady,
  input: Input,
  record: Recorder,
): Promise<Output> => {
  const { config } = host
  const { names } = config
  await ensureMounted(config, record)
  const path = names.rootfs(input.id)
  const state = await subvolumeState(path)
  if (state === 'subvolume') {
    const output = await existingOutputOf(names, input, record)
    await limitRoot(host, input, record)
    return output
  }
  if (state === 'other') await removeDirectory(record, path)
  return makeRoot(host, takeReady, input, record)
}

/** Deletes the container's root with every subvolume made inside it. Absent is success. */
export const deleteRoot = async (config: Config, id: string, record: Recorder): Promise<void> => {
  await ensureMounted(config, record)
  const path = config.names.rootfs(id)
  const state = await subvolumeState(path)
  if (state === 'absent') return
  try {
    await (state === 'subvolume' ? deleteSubvolume(record, path) : removeDirectory(record, path))
  } catch (error) {
    // Another undo that outlived its service may have been first.
    if ((await subvolumeState(path)) === 'absent') return
    if (!(error instanceof Failure)) throw error
    throw new Failure('busy', `cannot delete root of ${id}: ${error.message}`, { cause: error })
  }
}

import { open, rename, rm, stat } from 'node:fs/promises'
import type { Config } from '../../shared/config.ts'
import { syncDirectory } from '../../shared/durable-file.ts'
import { Failure, errnoOf } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { freeBytes, humanSize } from './space.ts'

/** `mkfs.btrfs` takes no less than 109 MiB. */
const leastBytes = 128 * 2 ** 20
/** Where btrfs has its magic number: 64 bytes into the superblock at 64 KiB. */
const magicOffset = 0x10040

const sizeOf = async (path: string): Promise<number | undefined> => {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

const holdsBtrfs = async (path: string): Promise<boolean> => {
  await using file = await open(path, 'r')
  const { buffer } = await file.read(Buffer.alloc(8), 0, 8, magicOffset)
  return buffer.toString('latin1') === '_BHRfS_M'
}

const checkExisting = async (path: string, size: number, wanted: number): Promise<void> => {
  if (size !== wanted) {
    throw new Failure(
      'host_unfit',
      `cannot use ${path}: it has ${size} bytes and ${wanted} are configured; set DOLLY_COWFS_SIZE=${size}, or remove it with all images and containers in it`,
      { details: { path, size, wanted } },
    )
  }
  if (await holdsBtrfs(path)) return
  throw new Failure('host_unfit', `cannot use ${path}: it holds no btrfs; move it away and it is made again`)
}

const checkRoom = async (root: string, wanted: number): Promise<void> => {
  if (wanted < leastBytes) {
    throw new Failure(
      'host_unfit',
      `cannot make a file system of ${wanted} bytes: DOLLY_COWFS_SIZE must be 128M or more`,
    )
  }
  const free = freeBytes(root)
  if (free >= wanted) return
  throw new Failure(
    'no_space',
    `cannot make a file system of ${humanSize(wanted)}: ${humanSize(free)} left in ${root}; set a smaller DOLLY_COWFS_SIZE, or DOLLY_ROOT on a larger disk`,
    { details: { freeBytes: free, neededBytes: wanted } },
  )
}

/**
 * Takes all of the file's space from the host at once: btrfs goes read-only when a write to the file below it fails,
 * as it would in a sparse one on a full disk. Where the host's file system cannot, the file stays sparse.
 */
const reserve = async (path: string, bytes: number, record: Recorder): Promise<void> => {
  try {
    await record.run('fallocate', ['--length', String(bytes), path])
  } catch (error) {
    if (!(error instanceof Failure) || !/not supported/i.test(error.message)) throw error
  }
}

/**
 * The file with the copy-on-write file system, made once. It gets its name after mkfs has
 * ended, so a crash in between leaves a `.part` that the next start makes again.
 */
export const ensureImageFile = async (
  { root, names, cowfsSizeBytes }: Config,
  record: Recorder,
): Promise<void> => {
  const size = await sizeOf(names.image)
  if (size !== undefined) return checkExisting(names.image, size, cowfsSizeBytes)
  await checkRoom(root, cowfsSizeBytes)
  const part = `${names.image}.part`
  await rm(part, { force: true })
  await record.call(`truncate --size ${cowfsSizeBytes} ${part}`, async () => {
    await using file = await open(part, 'wx', 0o600)
    await file.truncate(cowfsSizeBytes)
  })
  await reserve(part, cowfsSizeBytes, record)
  await record.run('mkfs.btrfs', ['--quiet', '--nodiscard', part])
  await record.call(`mv ${part} ${names.image}`, () => rename(part, names.image))
  // Containers will be told of as made in it: its name must not go with the power.
  await syncDirectory(root)
}

import { statSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createCoprocess, errnoWords } from '../../shared/coprocess.ts'
import { Failure, errnoOf, reasonOf } from '../../shared/failure.ts'
import { type Recorder, shellLine } from '../../shared/recorder.ts'

/** `statfs` type of btrfs. */
export const btrfsMagic = 0x9123683e

/** The inode number that the root directory of every subvolume has. */
const subvolumeInode = 256

/** What a path is to the file system; a plain directory where a subvolume should be is the work of neither us nor btrfs. */
export const subvolumeState = async (path: string): Promise<'absent' | 'subvolume' | 'other'> => {
  try {
    // Synchronous, as all look-ups on the launch path: microseconds, a turn of the thread pool is 0.3 ms.
    const { ino } = statSync(path)
    return ino === subvolumeInode ? 'subvolume' : 'other'
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 'absent'
    throw new Failure('system', `cannot look at ${path}: ${reasonOf(error)}`, { cause: error })
  }
}

/** Makes and deletes subvolumes by ioctl: the `btrfs` program would take longer to start than the kernel to do it. */
const program = createCoprocess(fileURLToPath(new URL('native/dolly-btrfs', import.meta.url)))

const unknownToKernel = new Set(['EINVAL', 'EOPNOTSUPP', 'ENOTTY'])
const withoutQuota = new Set(['ENOTCONN', 'ENOENT', 'EINVAL'])
const noSpace = new Set(['ENOSPC', 'EDQUOT'])

const changeAs = (record: Recorder, equivalent: string, task: readonly string[]): Promise<void> =>
  record.call(equivalent, async () => {
    const { errno } = await program.ask(task)
    if (errno === 0) return
    const [name, reason] = errnoWords(errno)
    const code = noSpace.has(name) ? 'no_space' : 'system'
    throw new Failure(code, `${equivalent}: ${reason}`, { details: { errno: name } })
  })

const change = (record: Recorder, words: readonly string[], task: readonly string[]): Promise<void> =>
  changeAs(record, shellLine(['btrfs', ...words]), task)

/** Starts the program that makes snapshots. Throws `Failure` (`host_unfit`) when it is not built. */
export const prepareSnapshots = (): void => program.start()

/** Makes a writable snapshot that may add `limitBytes` to what it is made of, or any number; fails when there is something at `to`. */
export const snapshot = (record: Recorder, from: string, to: string, limitBytes?: number): Promise<void> => {
  const made = shellLine(['btrfs', 'subvolume', 'snapshot', from, to])
  const equivalent =
    limitBytes === undefined
      ? made
      : `${made} && ${shellLine(['btrfs', 'qgroup', 'limit', String(limitBytes), to])}`
  return changeAs(record, equivalent, ['snapshot', from, dirname(to), basename(to), String(limitBytes ?? 0)])
}

/** Gives a subvolume another name in the same file system; fails when there is a full directory at `to`. */
export const renameSubvolume = async (record: Recorder, from: string, to: string): Promise<void> => {
  const equivalent = shellLine(['mv', '--no-target-directory', from, to])
  await record.call(equivalent, () =>
    rename(from, to).catch((error: unknown) => {
      throw new Failure('system', `${equivalent}: ${reasonOf(error)}`, { cause: error })
    }),
  )
}

/**
 * Counts what each subvolume adds, so that it can be limited; answers false where the kernel has no simple
 * quotas (before Linux 6.7). The classic ones would triple the time of a snapshot.
 */
export const enableQuota = async (record: Recorder, path: string): Promise<boolean> => {
  try {
    await change(record, ['quota', 'enable', '--simple', path], ['quota', path])
    return true
  } catch (error) {
    if (!(error instanceof Failure) || !unknownToKernel.has(String(error.details['errno']))) throw error
    return false
  }
}

/** Limits the bytes that a subvolume may add to what it was made of. */
export const limitSubvolume = (record: Recorder, path: string, bytes: number): Promise<void> =>
  change(record, ['qgroup', 'limit', String(bytes), path], ['limit', path, String(bytes)])

/** The same, with all subvolumes that will be made inside it: by a group of level 1 above its own. */
export const limitWithNested = (record: Recorder, path: string, bytes: number): Promise<void> => {
  const id = `$(btrfs inspect-internal rootid ${shellLine([path])})`
  const size = String(bytes)
  const equivalent = `btrfs qgroup create 1/${id} ${path}; btrfs qgroup assign 0/${id} 1/${id} ${path}; btrfs qgroup limit ${size} 1/${id} ${path}`
  return changeAs(record, equivalent, ['limit-nested', path, size])
}

/** Removes the groups of subvolumes that are gone: the kernel keeps one as long as anything is in it. */
export const sweepGroups = (record: Recorder, path: string): Promise<void> =>
  change(record, ['qgroup', 'clear-stale', path], ['sweep', path])

export const createSubvolume = (record: Recorder, path: string): Promise<void> =>
  change(record, ['subvolume', 'create', path], ['create', dirname(path), basename(path)])

/** The directory that `path` leads to for whoever has `root` as its root directory, or undefined when there is none. */
export const resolveInRoot = async (root: string, path: string): Promise<string | undefined> => {
  const { errno, said } = await program.ask(['resolve', root, path])
  if (errno === 0) return said || undefined
  throw new Failure('system', `cannot find ${path} in ${root}: ${errnoWords(errno)[1]}`)
}

export const setReadOnly = (record: Recorder, path: string): Promise<string> =>
  record.run('btrfs', ['property', 'set', '-t', 'subvol', path, 'ro', 'true'])

/** Writes everything to the disk, so that a rename after it cannot outlive the data it names. */
export const syncFileSystem = (record: Recorder, path: string): Promise<string> =>
  record.run('btrfs', ['filesystem', 'sync', path])

/**
 * Nested subvolumes are found by their inode and named to btrfs from within their own directory, so
 * that neither a name nor a depth that a container chose can lead anywhere else. A read-only one is
 * made writable before its children are deleted, children go before parents.
 */
const deleteNested = async (record: Recorder, path: string): Promise<void> => {
  const nested = [path, '-mindepth', '1', '-type', 'd', '-inum', String(subvolumeInode)]
  await record.run('find', [
    ...nested,
    '-execdir',
    'btrfs',
    'property',
    'set',
    '-t',
    'subvol',
    '{}',
    'ro',
    'false',
    ';',
  ])
  await record.run('find', [...nested, '-depth', '-execdir', 'btrfs', '-q', 'subvolume', 'delete', '{}', ';'])
}

/** Where there are no quotas there is none to lift. */
const liftLimits = async (record: Recorder, path: string): Promise<void> => {
  try {
    await change(record, ['qgroup', 'limit', 'none', path], ['lift', path])
  } catch (error) {
    if (!(error instanceof Failure) || !withoutQuota.has(String(error.details['errno']))) throw error
  }
}

const deleteOne = (record: Recorder, path: string): Promise<void> =>
  change(record, ['subvolume', 'delete', path], ['delete', dirname(path), basename(path)])

/** Deletes a subvolume with all that are nested in it. */
export const deleteSubvolume = async (record: Recorder, path: string): Promise<void> => {
  try {
    await deleteOne(record, path)
  } catch (error) {
    if (!(error instanceof Failure) || error.details['errno'] !== 'ENOTEMPTY') throw error
    // To forget a nested one takes space that a full quota refuses.
    await liftLimits(record, path)
    await deleteNested(record, path)
    await deleteOne(record, path)
  }
}

/** The identities by which btrfs knows a subvolume and the one it was made from. */
/** The UUIDs of all that subvolumes of a file system are snapshots of. */
export const parentsOf = async (record: Recorder, path: string): Promise<Set<string>> => {
  const listed = await record.run('btrfs', ['subvolume', 'list', '-q', path])
  return new Set([...listed.matchAll(/ parent_uuid (\S+) /g)].map(([, uuid]) => uuid ?? ''))
}

export const showSubvolume = async (record: Recorder, path: string) => {
  const shown = await record.run('btrfs', ['subvolume', 'show', path])
  const field = (name: string) => new RegExp(String.raw`^\s*${name}:\s*(\S+)`, 'm').exec(shown)?.[1]
  const parent = field('Parent UUID')
  return { uuid: field('UUID') ?? '', parentUuid: parent === '-' ? undefined : parent }
}

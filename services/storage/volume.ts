import { mkdir, readFile, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { Volume } from '../../shared/contracts/operations.ts'
import { Failure, errnoOf } from '../../shared/failure.ts'
import type { Names } from '../../shared/names.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { createSubvolume, deleteSubvolume, limitWithNested, subvolumeState, syncFileSystem } from './btrfs.ts'
import { jailPath } from './cow-file-system.ts'
import { writeDurably } from '../../shared/durable-file.ts'
import type { StorageHost } from './root-snapshot.ts'
import { usersOf } from './volume-uses.ts'

/** What is kept of a volume beside its files. */
const About = z.object({
  createdAt: z.string(),
  sizeBytes: z.number().nullable(),
  labels: z.record(z.string(), z.string()),
  /** Some container has had it: it is never filled from an image again. */
  used: z.boolean(),
})
export type About = z.infer<typeof About>

const script = fileURLToPath(new URL('extract-in-jail.sh', import.meta.url))
const draftPrefix = '.draft-'
const aboutDirectory = (names: Names): string => join(names.volumes, '.about')
const aboutPath = (names: Names, name: string): string => join(aboutDirectory(names), `${name}.json`)

const writeAbout = async (names: Names, name: string, about: About): Promise<void> => {
  await mkdir(aboutDirectory(names), { recursive: true, mode: 0o700 })
  await writeDurably(aboutPath(names, name), JSON.stringify(about))
}

/** Undefined as well for one that a crash left without. */
export const readAbout = async (names: Names, name: string): Promise<About | undefined> => {
  try {
    return About.parse(JSON.parse(await readFile(aboutPath(names, name), 'utf8')))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** For one that was filled by hand before its first container: it stays as it is. */
export const markUsed = async (names: Names, name: string): Promise<void> => {
  const about = await readAbout(names, name)
  if (about) await writeAbout(names, name, { ...about, used: true })
}

export const volumeExists = async (names: Names, name: string): Promise<boolean> =>
  (await subvolumeState(names.volume(name))) === 'subvolume'

const limitOf = (
  { config, hasQuota }: StorageHost,
  name: string,
  sizeBytes: number | null,
): number | null => {
  if (hasQuota) return sizeBytes ?? config.rootSizeBytes
  if (sizeBytes === null) return null
  throw new Failure(
    'unsupported',
    `cannot limit the size of volume ${name}: this host has no simple quotas of btrfs (Linux 6.7, a file system of Dolly's own)`,
  )
}

/** The image's files as they are, in a jail that has nothing else of the host but its programs. */
const copyInJail = (names: Names, { from, to }: { from: string; to: string }, record: Recorder) =>
  record.run('unshare', ['--mount', '--propagation', 'private', '/bin/sh', script, to, jailPath(names), from])

/**
 * Makes a volume, with a copy of a directory's content when one is given; one that is there, and was never
 * used, is replaced. After a crash it is not there, or whole, or unused still.
 */
export const makeVolume = async (
  host: StorageHost,
  {
    name,
    from,
    about,
  }: { name: string; from?: string | undefined; about: Partial<About> & { used: boolean } },
  record: Recorder,
): Promise<void> => {
  const { names } = host.config
  const [path, draft] = [names.volume(name), join(names.volumes, `${draftPrefix}${name}`)]
  const known: About = { createdAt: new Date().toISOString(), sizeBytes: null, labels: {}, ...about }
  const limit = limitOf(host, name, known.sizeBytes)
  if ((await subvolumeState(draft)) === 'subvolume') await deleteSubvolume(record, draft)
  await createSubvolume(record, draft)
  try {
    if (limit !== null) await limitWithNested(record, draft, limit)
    if (from !== undefined) await copyInJail(names, { from, to: draft }, record)
    await syncFileSystem(record, names.cowfs)
  } catch (error) {
    await deleteSubvolume(record, draft).catch((second: unknown) => {
      if (!(second instanceof Failure)) throw second // else the next start deletes it
    })
    throw error
  }
  if (await volumeExists(names, name)) await deleteSubvolume(record, path)
  await record.call(`mv ${draft} ${path}`, () => rename(draft, path))
  await writeAbout(names, name, { ...known, sizeBytes: limit })
}

const noSuchVolume = (name: string): Failure => new Failure('not_found', `no such volume: ${name}`)

const findVolume = async (names: Names, name: string): Promise<Volume | undefined> => {
  if (!(await volumeExists(names, name))) return undefined
  const { createdAt = '', sizeBytes = null, labels = {} } = (await readAbout(names, name)) ?? {}
  return {
    name,
    mountpoint: names.volume(name),
    createdAt,
    sizeBytes,
    labels,
    containers: usersOf(names, name),
  }
}

/** What `volume.inspect` says. Throws `Failure` (`not_found`). */
export const describeVolume = async (names: Names, name: string): Promise<Volume> => {
  const found = await findVolume(names, name)
  if (!found) throw noSuchVolume(name)
  return found
}

export const listVolumes = async (names: Names): Promise<Volume[]> => {
  const entries = (await readdir(names.volumes)).filter((name) => !name.startsWith('.')).toSorted()
  const found = await Promise.all(entries.map((name) => findVolume(names, name)))
  return found.filter((volume) => volume !== undefined)
}

/** Deletes a volume with its content. Throws `Failure` (`conflict`) while a container has it, running or not. */
export const removeVolume = async (names: Names, name: string, record: Recorder): Promise<void> => {
  const containers = usersOf(names, name)
  if (containers.length > 0) {
    const some = containers.slice(0, 5).join(', ')
    throw new Failure('conflict', `cannot remove volume ${name}: it is in use by container ${some}`, {
      details: { containers },
    })
  }
  if (!(await volumeExists(names, name))) throw noSuchVolume(name)
  await deleteSubvolume(record, names.volume(name))
  await rm(aboutPath(names, name), { force: true })
}

/** Deletes the drafts that a crash has left. */
export const removeVolumeDrafts = async (names: Names, record: Recorder): Promise<void> => {
  for (const entry of await readdir(names.volumes))
    if (entry.startsWith(draftPrefix)) await deleteSubvolume(record, join(names.volumes, entry))
}

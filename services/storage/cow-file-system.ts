import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, realpath, statfs, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '../../shared/config.ts'
import { Failure, errnoOf } from '../../shared/failure.ts'
import { type Mount, readMountTable } from '../../shared/mount-table.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { btrfsMagic } from './btrfs.ts'
import { checkHost } from './host-check.ts'
import { ensureImageFile } from './image-file.ts'
import { attachLoop, detachLoop, loopDevicesOf } from './loop-device.ts'

/** Set-uid files and device nodes of a container must mean nothing on the host. */
const mountOptions = 'nosuid,nodev,noatime'
/** What btrfs frees would be given back to the host's disk, and be missing when that is full. */
const imageOptions = `${mountOptions},nodiscard`

/** An empty directory, over which an import mounts its jail where no one else sees it. */
export const jailPath = (names: Config['names']): string => join(names.cowfs, '.jail')

/** The path as the kernel shows it, also when it does not exist yet. */
const kernelPath = async (path: string): Promise<string> =>
  join(await realpath(dirname(path)), basename(path))

/** What is mounted on top at the stack's mount point, or undefined. */
export const mountedAt = async (path: string): Promise<Mount | undefined> => {
  const real = await kernelPath(path)
  return (await readMountTable()).findLast(({ mountPoint }) => mountPoint === real)
}

const foreign = (names: Config['names'], found: Mount, expected: string) =>
  new Failure(
    'host_unfit',
    `cannot use ${names.cowfs}: ${found.source} (${found.fsType}) is mounted there instead of ${expected}; unmount it`,
  )

const checkMounted = async (
  { names, cowfsDirectory }: Config,
  found: Mount,
  record: Recorder,
): Promise<void> => {
  const expected = cowfsDirectory ?? names.image
  if (found.fsType !== 'btrfs') throw foreign(names, found, expected)
  if (!cowfsDirectory && !(await loopDevicesOf(await kernelPath(names.image))).includes(found.source)) {
    throw foreign(names, found, expected)
  }
  if (!found.superOptions.includes('rw')) {
    throw new Failure(
      'host_unfit',
      `cannot write to ${names.cowfs}: btrfs went read-only after an error; look at dmesg, unmount it and run "btrfs check"`,
    )
  }
  // A bind mount gets its flags in a second system call, and a crash can come between the two.
  if (found.options.includes('nosuid') && found.options.includes('nodev')) return
  await record.run('mount', ['--make-private', '-o', `remount,bind,${mountOptions}`, names.cowfs])
}

const mountImage = async (config: Config, record: Recorder): Promise<void> => {
  const { names } = config
  await ensureImageFile(config, record)
  const device = await attachLoop(record, await kernelPath(names.image))
  await record.run('mount', ['--make-private', '-t', 'btrfs', '-o', imageOptions, device, names.cowfs])
}

const bindDirectory = async (directory: string, { names }: Config, record: Recorder): Promise<void> => {
  const right = 'DOLLY_COWFS must name an existing directory on a mounted btrfs'
  try {
    if ((await statfs(directory)).type !== btrfsMagic) {
      throw new Failure('host_unfit', `cannot use ${directory}: it is not on btrfs; ${right}`)
    }
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw error
    throw new Failure('host_unfit', `cannot use ${directory}: it does not exist; ${right}`, { cause: error })
  }
  await record.run('mount', ['--bind', '--make-private', '-o', mountOptions, directory, names.cowfs])
}

/** Two stacks in one directory would take each other's containers for leaks. */
const claimDirectory = async ({ names, tag, cowfsDirectory }: Config): Promise<void> => {
  const file = join(names.cowfs, '.stack')
  try {
    await writeFile(file, tag, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    const owner = await readFile(file, 'utf8')
    if (owner === tag || owner === '') return
    throw new Failure(
      'host_unfit',
      `cannot use ${cowfsDirectory}: the stack ${owner} uses it; give each stack its own directory`,
    )
  }
}

/** The directory of containers is inside the file system: where it is absent, nothing can be said of any container. */
export const ensureMounted = async (config: Config, record: Recorder): Promise<void> => {
  if (!existsSync(config.names.containers)) await mountCowFileSystem(config, record)
}

/** Mounts the stack's copy-on-write file system unless the kernel shows it mounted, and makes its directories. */
export const mountCowFileSystem = async (config: Config, record: Recorder): Promise<void> => {
  const { names, root, cowfsDirectory } = config
  await checkHost(record)
  await mkdir(root, { recursive: true })
  await mkdir(names.cowfs, { recursive: true, mode: 0o700 })
  const found = await mountedAt(names.cowfs)
  if (found) await checkMounted(config, found, record)
  else if (cowfsDirectory) await bindDirectory(cowfsDirectory, config, record)
  else await mountImage(config, record)
  if (cowfsDirectory) await claimDirectory(config)
  await chmod(names.cowfs, 0o700)
  const { images, containers, readyRoots, tags, volumes } = names
  for (const directory of [images, containers, readyRoots, tags, volumes, jailPath(names)]) {
    await mkdir(directory, { recursive: true, mode: 0o700 })
  }
}

/** The loop devices of the stack's image file; more than one only when something else attached it too. */
export const imageDevices = async ({ names }: Config): Promise<string[]> =>
  loopDevicesOf(await kernelPath(names.image))

/** How long a file system may stay busy with what is just ending: a process that still has a file of it open. */
const busyMs = 3000

const unmount = async (path: string, record: Recorder): Promise<void> => {
  for (const until = Date.now() + busyMs; ; await delay(100)) {
    try {
      return void (await record.run('umount', [path]))
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      // Asked twice, the other release was quicker.
      if (!(await mountedAt(path))) return
      if (!error.message.includes('busy') || Date.now() > until)
        throw new Failure('busy', `cannot unmount ${path}: ${error.message}`, { cause: error })
    }
  }
}

/** Unmounts and detaches what the kernel shows of it. The image file stays. */
export const unmountCowFileSystem = async (config: Config, record: Recorder): Promise<string[]> => {
  const { names } = config
  const released: string[] = []
  if (await mountedAt(names.cowfs)) {
    await unmount(names.cowfs, record)
    released.push(names.cowfs)
  }
  const file = await kernelPath(names.image)
  for (const device of await loopDevicesOf(file)) {
    await detachLoop(record, file, device)
    released.push(device)
  }
  return released
}

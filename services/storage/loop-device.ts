import { Failure } from '../../shared/failure.ts'
import { type Recorder, run } from '../../shared/recorder.ts'

/**
 * The loop devices that show the file. By its inode: sysfs names the path that whoever attached it saw, and no
 * whole path once that one's mount namespace is gone, as a container's is.
 */
export const loopDevicesOf = async (file: string): Promise<string[]> =>
  (await run('losetup', ['--associated', file, '--noheadings', '--output', 'NAME']))
    .split('\n')
    .map((name) => name.trim())
    .filter(Boolean)

/** losetup(8)'s words for EINVAL: a file system without direct I/O, as a tmpfs of Linux 6.1. */
const isIndirect = (error: unknown): boolean =>
  error instanceof Failure && error.message.includes('Invalid argument')

/** A loop device for the file: the one it has, or a new one that reads it past the page cache where that can be. */
export const attachLoop = async (record: Recorder, file: string): Promise<string> => {
  const [known] = await loopDevicesOf(file)
  if (known) return known
  try {
    const attach = (...options: string[]) => record.run('losetup', ['--find', '--show', ...options, file])
    const attached = await attach('--direct-io=on').catch((error: unknown) => {
      if (isIndirect(error)) return attach()
      throw error
    })
    return attached.trim()
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    throw new Failure('host_unfit', `cannot attach ${file} to a loop device: ${error.message}`, {
      cause: error,
    })
  }
}

/** Detaches the device from the file, unless the kernel already did: the last to close a device that was in use does it. */
export const detachLoop = async (record: Recorder, file: string, device: string): Promise<void> => {
  try {
    await record.run('losetup', ['--detach', device])
  } catch (error) {
    if ((await loopDevicesOf(file)).includes(device)) throw error
  }
}

import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure, errnoOf } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'

const blockDevices = '/sys/block'

const backingFile = async (name: string): Promise<string | undefined> => {
  try {
    return (await readFile(join(blockDevices, name, 'loop/backing_file'), 'utf8')).trimEnd()
  } catch (error) {
    // A loop device without a file has no `loop` directory; one that is just being detached says ENODEV or ENXIO.
    if (['ENOENT', 'ENODEV', 'ENXIO'].includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
}

/** The loop devices that show the file, as the kernel lists them. */
export const loopDevicesOf = async (file: string): Promise<string[]> => {
  const names = (await readdir(blockDevices)).filter((name) => name.startsWith('loop'))
  const backed = await Promise.all(
    names.map(async (name) => ((await backingFile(name)) === file ? `/dev/${name}` : [])),
  )
  return backed.flat()
}

/** A loop device for the file: the one it has, or a new one that reads it past the page cache. */
export const attachLoop = async (record: Recorder, file: string): Promise<string> => {
  const [attached] = await loopDevicesOf(file)
  if (attached) return attached
  try {
    return (await record.run('losetup', ['--find', '--show', '--direct-io=on', file])).trim()
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

import { existsSync, readFileSync, readdirSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { release } from '../../shared/contracts/operations.ts'
import { storage } from '../../shared/contracts/steps.ts'
import { storageService } from '../../services/storage/service.ts'
import { Failure } from '../../shared/failure.ts'
import { hostService, temporaryConfig } from '../helpers/host.ts'

/** The service on a file system of its own; disposing deletes its containers, unmounts and detaches. */
export const storageStack = async (env: Record<string, string> = {}) => {
  const temporary = await temporaryConfig(env)
  const { config } = temporary
  const service = await hostService(config, storageService(config))
  const undo = (id: string) => service.send('undo', { id, image: 'any' })
  return {
    ...service,
    config,
    undo,
    make: async (id: string, image = 'busybox', rootSizeBytes: number | null = null) =>
      storage.output.parse(await service.send('do', { id, image, rootSizeBytes })),
    /** The same stack's service as after a restart. */
    restart: () => hostService(config, storageService(config)),
    [Symbol.asyncDispose]: async () => {
      const { containers } = config.names
      for (const id of existsSync(containers) ? readdirSync(containers) : []) await undo(id)
      await service.request(release.storage, {})
      await temporary[Symbol.asyncDispose]()
    },
  }
}

/** The line of the mount table for a mount point, split at spaces; undefined when nothing is mounted. */
export const mountLine = (path: string): string[] | undefined =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, , , , mountPoint]) => mountPoint === realpathSync(path))

/** The loop devices whose backing file is the path. */
export const loopsOf = (file: string): string[] =>
  readdirSync('/sys/block').filter((name) => {
    const backing = join('/sys/block', name, 'loop/backing_file')
    return existsSync(backing) && readFileSync(backing, 'utf8').trim() === file
  })

/** The failure that a request ends with. */
export const failureOf = async (request: Promise<unknown>): Promise<Failure> => {
  try {
    await request
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
  throw new Error('the request succeeded')
}

/** Asks every 50 ms for at most 40 s whether the condition holds. */
export const eventually = async (holds: () => Promise<boolean>): Promise<boolean> => {
  for (let attempt = 0; attempt < 800; attempt++) {
    if (await holds()) return true
    await delay(50)
  }
  return false
}

import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { release } from '../../shared/contracts/operations.ts'
import { cgroup } from '../../shared/contracts/steps.ts'
import { Failure } from '../../shared/failure.ts'
import { cgroupService } from '../../services/cgroup/service.ts'
import { hostService, temporaryConfig } from '../helpers/host.ts'

/** Where cgroup trees are mounted on this host, read without the service's own detection. */
export const cgroupRoots = readFileSync('/proc/self/mounts', 'utf8')
  .split('\n')
  .map((line) => line.split(' '))
  .filter(([, , type, options]) => type === 'cgroup2' || (type === 'cgroup' && !options?.includes('name=')))
  .map(([, directory = '']) => directory)

/** The service on the real kernel under a stack of its own; disposing removes what it made. */
export const cgroupStack = async () => {
  const temporary = await temporaryConfig()
  const { config } = temporary
  const service = await hostService(config, cgroupService(config))
  const containers = () => [
    ...new Set(
      cgroupRoots
        .map((root) => join(root, config.names.cgroupParent))
        .filter((parent) => existsSync(parent))
        .flatMap((parent) => readdirSync(parent, { withFileTypes: true }))
        .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
        .map(({ name }) => name),
    ),
  ]
  return {
    ...service,
    config,
    /** The directories the kernel shows for a container. */
    directories: (id: string) =>
      cgroupRoots.map((root) => join(root, config.names.cgroup(id))).filter((path) => existsSync(path)),
    make: async (id: string, resources: object = {}) =>
      cgroup.output.parse(await service.send('do', { id, resources })),
    undo: (id: string) => service.send('undo', { id, resources: {} }),
    /** A file of the container's cgroup in the tree that has it. */
    file: (id: string, name: string) => {
      const path = cgroupRoots
        .map((root) => join(root, config.names.cgroup(id), name))
        .find((candidate) => existsSync(candidate))
      return path === undefined ? undefined : readFileSync(path, 'utf8').trim()
    },
    [Symbol.asyncDispose]: async () => {
      for (const id of containers()) await service.send('undo', { id, resources: {} })
      await service.request(release.cgroup, {})
      await temporary[Symbol.asyncDispose]()
    },
  }
}

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

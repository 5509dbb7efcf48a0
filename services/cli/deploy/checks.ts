import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Config, readAccess } from '../../../shared/config.ts'
import { Failure, errnoOf, reasonOf } from '../../../shared/failure.ts'
import { run } from '../../../shared/recorder.ts'
import { kernelChecks } from '../stack/kernel-checks.ts'
import { requireBus, requireKeys } from '../stack/bus-elsewhere.ts'
import { type Keeper, keeperOf, requireNoKeeper } from '../stack/deployment.ts'
import { natsFiles, serverName } from '../stack/nats-configuration.ts'
import { isFree, loopback } from '../stack/nats-port.ts'
import { natsRuns } from '../stack/orphans.ts'
import { greetingName } from '../stack/nats-server.ts'
import { runningSupervisor } from '../stack/stack-files.ts'
import { engineVersion, findCompose } from './compose-program.ts'

const nearest = async (path: string): Promise<string> => {
  try {
    await stat(path)
    return path
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    return nearest(dirname(path))
  }
}

/** What one service mounts others see only through a shared mount; systemd makes all of a host's shared at boot. */
const requireShared = async (path: string): Promise<void> => {
  const words = ['--noheadings', '--output', 'TARGET,PROPAGATION', '--target', await nearest(path)]
  const [mountPoint = '', propagation = ''] = (await run('findmnt', words)).trim().split(/\s+/)
  if (propagation.split(',').includes('shared')) return
  throw new Failure(
    'host_unfit',
    `${mountPoint}, where ${path} is, is no shared mount: "mount --make-shared ${mountPoint}" makes it one until the next boot`,
  )
}

export const requireKernel = async (): Promise<void> => {
  const lacking = (await kernelChecks()).filter(({ ok, optional }) => !ok && !optional)
  if (lacking.length === 0) return
  throw new Failure(
    'host_unfit',
    lacking.map(({ name, found, wanted }) => `${name} is ${found}, wanted is ${wanted}`).join('; '),
  )
}

/** Whether the server of this stack can listen, or does already. */
const requirePort = async (config: Config, port: number): Promise<void> => {
  const address = config.natsListen ?? loopback
  if (await isFree(port, address)) return
  if ((await greetingName(`nats://${address}:${port}`)) === serverName(config)) return
  if (!(await isFree(0, address)))
    throw new Failure('host_unfit', `no interface of this host has DOLLY_NATS_LISTEN "${address}"`)
  throw new Failure(
    'conflict',
    `port ${port} of ${address} is in use by something else; DOLLY_NATS_PORT takes another`,
  )
}

/** What a host asks for to be on its bus: a place for the server, or a way to the bus that it has joined. */
export const busChecks = (config: Config, port: number): readonly Promise<void>[] =>
  config.joined
    ? [requireKeys(config), requireBus(config)]
    : [
        requirePort(config, port),
        // Refuses a file of passwords that others can read.
        Promise.resolve().then(() => void readAccess(natsFiles(config).access)),
      ]

export const requireOwn = async (config: Config, keeper: Keeper): Promise<void> => {
  const supervisor = await runningSupervisor(config)
  if (!supervisor) {
    await requireNoKeeper(config, 'deploy', keeper)
    if ((await keeperOf(config)) ?? !(await natsRuns(config))) return
    const left = `a supervisor that was killed has left processes of the stack of ${config.root}`
    throw new Failure('conflict', `${left}; "dolly down" ends them`)
  }
  throw new Failure(
    'conflict',
    `process ${supervisor.pid} runs the stack of ${config.root}; "dolly down" stops it`,
  )
}

/** A service in Docker sees its own directory of `<root>/nats` and no other file about the bus. */
const requirePlain = async ({ natsTls }: Config): Promise<void> => {
  if (Object.values(natsTls).every((file) => file === undefined)) return
  throw new Failure(
    'host_unfit',
    'the bus uses TLS, whose certificates services in Docker do not see; "dolly up" and "dolly system install" can',
  )
}

/** Waits for all looks; throws one `Failure` with a sentence for each that failed. */
export const all = async (verb: string, looks: readonly Promise<unknown>[]): Promise<void> => {
  const reasons = (await Promise.allSettled(looks)).flatMap((result) => {
    if (result.status === 'fulfilled') return []
    if (!(result.reason instanceof Failure)) throw result.reason
    return reasonOf(result.reason)
  })
  if (reasons.length > 0) throw new Failure('host_unfit', `cannot ${verb}: ${reasons.join('; ')}`)
}

/**
 * Looks at all that a deployment asks of a host, and changes nothing. Throws one `Failure` with a sentence for each
 * thing that is not so.
 */
export const requireDeployable = async (config: Config, port: number) => {
  if (process.getuid?.() !== 0) throw new Failure('host_unfit', 'cannot deploy: not root')
  const looks = [
    findCompose(),
    engineVersion(),
    requireOwn(config, 'Compose'),
    requirePlain(config),
    requireKernel(),
    requireShared(config.root),
    requireShared('/run/netns'),
    ...busChecks(config, port),
  ] as const
  await all('deploy', looks)
  return { ...(await looks[0]), engine: await looks[1] }
}

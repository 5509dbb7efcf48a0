import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Bus } from '../../../shared/bus.ts'
import type { Config } from '../../../shared/config.ts'
import { Failure, reasonOf } from '../../../shared/failure.ts'
import type { Log } from '../../../shared/log.ts'
import { startRegistrar } from '../join/start-registrar.ts'
import { type KeptProgram, keepRunning } from './keep-running.ts'
import { connectInTime } from './connect-in-time.ts'
import { bootstrapBus } from './bootstrap-bus.ts'
import { environmentOf, memoryOptions } from './stack-environment.ts'
import { startNatsServer } from './start-nats-server.ts'
import { endOrphans } from './orphans.ts'
import { projectDirectory, servicesOf } from './project.ts'
import { releaseHost } from './release-host.ts'
import { boundLog } from './service-log.ts'
import { confined } from './service-privileges.ts'
import { watchStore } from './store-watch.ts'
import { type StackInfo, lockStack, writeStackInfo } from './stack-files.ts'
import { patienceMs } from '../../../shared/patience.ts'
import { rememberNode } from '../../../shared/root-node.ts'

export type Progress = (line: string) => void

export interface Service {
  name: string
  main: string
}

const programsOf = (config: Config): readonly Service[] =>
  servicesOf(config).map((name) => ({ name, main: `services/${name}/main.ts` }))

export interface SupervisorOptions {
  log: Log
  onProgress?: Progress
  /** The services to run, each with its main program. */
  services?: readonly Service[]
  /** The NATS servers to choose from. */
  natsServers?: readonly string[]
  /** Gives up waiting for the services. */
  signal?: AbortSignal
}

const readyWithinMs = 60_000
const boundLogsEveryMs = 30_000

const serviceProgram = (config: Config, { name, main }: Service, url: string) => ({
  name,
  ...confined(config, name, process.execPath, [...memoryOptions(name), main]),
  cwd: projectDirectory,
  env: environmentOf({ ...config, natsUrl: url }),
  logFile: join(config.names.logs, `${name}.log`),
})

/** Waits until every service answers to its name with this node's and its own process's metadata. */
const servicesAnswer = async (
  config: Config,
  services: readonly KeptProgram[],
  { log, onProgress, signal }: { log: Log; onProgress: Progress; signal: AbortSignal | undefined },
) => {
  const deadline = performance.now() + patienceMs(readyWithinMs)
  const inTime = AbortSignal.timeout(patienceMs(readyWithinMs))
  const bus = await connectInTime(config, log, signal ? AbortSignal.any([signal, inTime]) : inTime)
  const waitFor = async (service: KeptProgram): Promise<void> => {
    for (;;) {
      signal?.throwIfAborted()
      const answers = await bus.ping(service.name)
      if (
        answers.some(
          ({ metadata }) => metadata['node'] === config.node && metadata['pid'] === String(service.pid()),
        )
      )
        break
      const reason = service.lastExit()
      // A service that comes to an end before it was ever ready says why; starting it again would not help.
      if (reason) throw new Failure('host_unfit', `cannot start ${service.name}: ${reason}`)
      if (performance.now() > deadline)
        throw new Failure(
          'timeout',
          `cannot start ${service.name}: no answer within ${readyWithinMs / 1000} s; see ${service.logFile}`,
        )
      await delay(20)
    }
    onProgress(`${service.name} is ready`)
  }
  try {
    await Promise.all(services.map(waitFor))
  } finally {
    await bus.close()
  }
}

/**
 * Starts the NATS server (unless `DOLLY_NATS_URL` names one) and the services, and resolves when all
 * answer. From then on it restarts what dies, until `stop`. Throws `Failure`, with all it began undone.
 */
export const supervise = async (config: Config, options: SupervisorOptions) => {
  const { log, onProgress = () => {}, services: wanted = programsOf(config), natsServers, signal } = options
  await mkdir(config.root, { recursive: true, mode: 0o755 })
  await mkdir(config.names.logs, { recursive: true, mode: 0o750 })
  const lock = await lockStack(config)
  const running: KeptProgram[] = []
  let url = config.natsUrl ?? ''
  let ready = false
  let watching: { stop: () => void } | undefined
  let registrar: Bus | undefined

  const stop = async (): Promise<void> => {
    ready = false
    clearInterval(bounding)
    watching?.stop()
    await registrar?.close()
    // Reverse order of start, one after another, the bus last: services drain through it.
    while (running.length > 0) await running.pop()?.stop()
    await lock.release()
  }
  const info = (): StackInfo => ({
    node: config.node,
    root: config.root,
    bridge: config.names.bridge,
    url,
    project: projectDirectory,
    supervisor: process.pid,
    pids: Object.fromEntries(running.map((program) => [program.name, program.pid() ?? 0])),
  })
  // The file says that the stack is there, so it appears when everything answers.
  const changed = () => {
    if (!ready) return
    try {
      writeStackInfo(config, info())
    } catch (error) {
      log.error({ reason: reasonOf(error) }, 'cannot write stack.json')
    }
  }
  const boundLogs = () => Promise.all(running.map(({ logFile }) => boundLog(logFile)))
  const bounding = setInterval(
    () =>
      void boundLogs().catch((error: unknown) => log.warn({ reason: reasonOf(error) }, 'cannot bound a log')),
    boundLogsEveryMs,
  )

  try {
    const orphans = await endOrphans(config)
    if (orphans > 0) onProgress(`ended ${orphans} processes that an earlier supervisor left`)
    if (!config.natsUrl) {
      const nats = await startNatsServer(config, {
        log,
        onChange: changed,
        ...(natsServers ? { candidates: natsServers } : {}),
      })
      running.push(nats.server)
      watching = watchStore(config, { server: nats.server, log })
      url = nats.url
      await bootstrapBus({ ...config, natsUrl: url }, log)
      onProgress(`nats-server ${nats.version} answers at ${url}`)
      registrar = await startRegistrar({ ...config, natsUrl: url }, log)
    }
    await rememberNode(config)
    const services = wanted.map((service) =>
      keepRunning(serviceProgram(config, service, url), {
        log,
        onChange: changed,
      }),
    )
    running.push(...services)
    await servicesAnswer(config, services, { log, onProgress, signal })
    ready = true
    writeStackInfo(config, info())
  } catch (error) {
    // What the services that did start have prepared is given back; with containers there, they keep it.
    if (url) await releaseHost(config)
    await stop()
    throw error
  }
  return { info, stop, programs: running as readonly KeptProgram[] }
}

export type Supervisor = Awaited<ReturnType<typeof supervise>>

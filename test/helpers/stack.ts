import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ulid } from 'ulid'
import { type Bus, connectBus } from '../../shared/bus.ts'
import type { Config } from '../../shared/config.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { createLog } from '../../shared/log.ts'
import { retrying } from '../../shared/retry.ts'
import { subjects } from '../../shared/subjects.ts'
import { askPages } from '../../services/cli/commands/bus/ask.ts'
import { bootstrapBus } from '../../services/cli/stack/bootstrap-bus.ts'
import { down } from '../../services/cli/stack/down.ts'
import { environmentOf } from '../../services/cli/stack/stack-environment.ts'
import { runningSupervisor } from '../../services/cli/stack/stack-files.ts'
import { startNatsServer as start } from '../../services/cli/stack/start-nats-server.ts'
import { startSupervisor } from '../../services/cli/stack/up.ts'
import { temporaryConfig } from './host.ts'
import { patienceMs } from '../../shared/patience.ts'

const log = createLog({}, 'silent')
const emptyWithinMs = 60_000

/** Waits until the condition holds, looking every few milliseconds; fails with the sentence when it does not in time. */
export const eventually = async (
  what: string,
  holds: () => Promise<boolean> | boolean,
  timeoutMs = 10_000,
): Promise<void> => {
  const deadline = performance.now() + patienceMs(timeoutMs)
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await delay(5)
  }
}

/**
 * A bare NATS server as every stack's: JetStream on disk, synced always, a user per role, its streams made.
 * `config` leads `connectBus` to it. Disposing stops it and removes its root.
 */
export const startNatsServer = async (env: Record<string, string> = {}) => {
  const temporary = await temporaryConfig(env)
  const { config } = temporary
  await mkdir(config.names.logs, { recursive: true })
  const bootstrapped = async () => {
    const started = await start(config, { log })
    await bootstrapBus(config, log).catch(async (error: unknown) => {
      await started.server.stop()
      throw error
    })
    return started
  }
  let running = await bootstrapped().catch(async (error: unknown) => {
    await temporary[Symbol.asyncDispose]()
    throw error
  })
  return {
    config,
    url: running.url,
    pid: running.server.pid,
    bus: async (role = 'operator'): Promise<Bus & AsyncDisposable> => {
      const bus = await connectBus(config, { role, log, patient: false })
      return Object.assign(bus, { [Symbol.asyncDispose]: () => bus.close() })
    },
    /** Stops the server; `start` brings it back with the same data, credentials and, if it is still free, port. */
    stop: () => running.server.stop(),
    start: async () => {
      running = await bootstrapped()
    },
    [Symbol.asyncDispose]: async () => {
      await running.server.stop()
      await temporary[Symbol.asyncDispose]()
    },
  }
}

const listed = async (bus: Bus) => {
  const pages = await askPages(bus, verbs.containerList, { all: true })
  return pages.flatMap(({ containers }) => containers)
}

/**
 * Deletes every container of the stack and waits until none is listed. On a connection of its own: a test
 * may have taken the stack down and up, on another port; and patiently: it may just have killed a service.
 */
export const deleteContainers = async (config: Config): Promise<void> => {
  if (!(await runningSupervisor(config))) return
  const bus = await connectBus(config, { role: 'operator', log })
  const signal = AbortSignal.timeout(patienceMs(emptyWithinMs))
  const patiently = <T>(act: () => Promise<T>) => retrying(act, { signal })
  try {
    for (const { id } of await patiently(() => listed(bus))) {
      const messageId = ulid()
      await patiently(() => bus.publishCommand(subjects.delete, { id, force: true }, { messageId }))
    }
    const isEmpty = async () => (await patiently(() => listed(bus))).length === 0
    await eventually('no container is left', isEmpty, emptyWithinMs)
  } finally {
    await bus.close()
  }
}

const isMounted = async ({ names }: Config) =>
  (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${names.cowfs} `)

/**
 * What the server refused to a service: each may do exactly what it has to, so there is nothing but answers to
 * questions from before a connection was lost, which nobody waits for any more.
 */
const refusals = async ({ names }: Config): Promise<string[]> => {
  const said = await readFile(join(names.logs, 'nats-server.log'), 'utf8')
  return said
    .split('\n')
    .filter((line) => /"DOLLY\/user:[^"]*" - \w+ Violation - Subject "(?!_INBOX|_R_)/.test(line))
}

const expectNoRefusals = async (config: Config): Promise<void> => {
  const refused = await refusals(config)
  if (refused.length > 0) throw new Error(`the bus refused its services: ${refused.slice(0, 5).join('; ')}`)
}

/** Tries each part even when an earlier one failed; what failed is thrown at the end. */
const everyPart = async (parts: (() => Promise<unknown>)[]): Promise<void> => {
  const errors: unknown[] = []
  for (const part of parts) await part().catch((error: unknown) => errors.push(error))
  if (errors.length > 0) throw new AggregateError(errors, `cannot clean up: ${errors.join('; ')}`)
}

/**
 * A whole stack of its own, run by a supervisor that ends with this process. Disposing deletes its
 * containers, takes it down and removes its root.
 */
export const startStack = async (env: Record<string, string> = {}) => {
  const temporary = await temporaryConfig({ DOLLY_LOG_LEVEL: 'info', ...env })
  const { config } = temporary
  const takeDown = async () => {
    const { kept } = await down(config)
    if (kept.length > 0) throw new Error(kept.join('; '))
  }
  const removeRoot = async () => {
    if (await isMounted(config)) throw new Error(`${config.names.cowfs} is still mounted`)
    await temporary[Symbol.asyncDispose]()
  }
  const started = await startSupervisor(config, { bound: true }).catch(async (error: unknown) => {
    const cause = error instanceof Error ? error : new Error(String(error))
    await everyPart([() => Promise.reject(cause), () => down(config), removeRoot])
    throw cause
  })
  const bus = await connectBus(config, { role: 'operator', log, patient: false })
  const inside = await connectBus(config, { role: 'orchestrator', log, patient: false })
  return {
    config,
    info: started.info,
    bus,
    /** The bus as an orchestrator has it: for a test that writes what only orchestrators may, or asks hosts. */
    inside,
    /** The variables that lead `dolly` and any other program to this stack. */
    env: environmentOf(config),
    logOf: (service: string) => readFile(`${config.names.logs}/${service}.log`, 'utf8'),
    [Symbol.asyncDispose]: async () => {
      await everyPart([
        () => bus.close(),
        () => inside.close(),
        () => deleteContainers(config),
        takeDown,
        async () => started.letGo(),
        () => expectNoRefusals(config),
        removeRoot,
      ])
    },
  }
}

export type Stack = Awaited<ReturnType<typeof startStack>>

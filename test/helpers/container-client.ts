import type { ExecutionContext } from 'ava'
import { ulid } from 'ulid'
import { attachedOutput } from '../../services/namespace/streams/attached-output.ts'
import { spawnAttacher } from '../../services/namespace/streams/attacher.ts'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { type Bus, connectBus } from '../../shared/bus.ts'
import type { Config } from '../../shared/config.ts'
import { type CloudEvent, outcomeTypes } from '../../shared/contracts/event.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { createLog } from '../../shared/log.ts'
import { retrying } from '../../shared/retry.ts'
import { subjects } from '../../shared/subjects.ts'
import { eventually } from './stack.ts'
import { patienceMs } from '../../shared/patience.ts'

const log = createLog({}, 'silent')
const outcomeWithinMs = 60_000

interface Waiter {
  match: (event: CloudEvent) => boolean
  resolve: (event: CloudEvent) => void
  reject: (reason: unknown) => void
}

/** Everything the log tells a client, kept in order from its beginning, and waits on what is to come. */
const eventTape = (bus: Bus) => {
  const stop = new AbortController()
  const events: CloudEvent[] = []
  const waiters = new Set<Waiter>()
  const read = async () => {
    for await (const { event } of bus.followEvents({ kind: 'container', after: 'all' }, stop.signal)) {
      if (!event) continue
      events.push(event)
      for (const { match, resolve } of waiters) if (match(event)) resolve(event)
    }
  }
  const reading = read().catch((error: unknown) => {
    for (const { reject } of waiters) reject(error)
  })

  /** The first event, past or to come, that matches. */
  const until = async (what: string, match: Waiter['match'], timeoutMs = outcomeWithinMs) => {
    const past = events.find(match)
    if (past) return past
    const { promise, resolve, reject } = Promise.withResolvers<CloudEvent>()
    const waiter = { match, resolve, reject }
    const timer = setTimeout(
      () => reject(new Error(`not within ${timeoutMs} ms: ${what}`)),
      patienceMs(timeoutMs),
    )
    waiters.add(waiter)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      waiters.delete(waiter)
    }
  }

  return {
    events,
    until,
    end: async () => {
      stop.abort()
      await reading
    },
  }
}

const isOutcome = ({ type }: CloudEvent): boolean => (outcomeTypes as readonly string[]).includes(type)

/** A client of a stack as any NATS client may be one: role `client`, commands, verbs and the events. */
export const containerClient = async (config: Config) => {
  const bus = await connectBus(config, { role: 'client', log, patient: false })
  const tape = eventTape(bus)

  const publish = async (subject: string, body: unknown, messageId = ulid()): Promise<string> => {
    await bus.publishCommand(subject, body, { messageId })
    return messageId
  }
  const outcomesOf = (commandId: string): CloudEvent[] =>
    tape.events.filter((event) => event.commandid === commandId && isOutcome(event))
  const outcome = (commandId: string, timeoutMs = outcomeWithinMs): Promise<CloudEvent> =>
    tape.until(
      `an outcome of command ${commandId}`,
      (event) => event.commandid === commandId && isOutcome(event),
      timeoutMs,
    )
  const command = async (subject: string, body: unknown): Promise<CloudEvent> =>
    outcome(await publish(subject, body))

  const succeeded = (wanted: string, event: CloudEvent): CloudEvent => {
    if (event.type !== wanted) throw new Error(`${event.type}, not ${wanted}: ${JSON.stringify(event.data)}`)
    return event
  }

  return {
    bus,
    events: tape.events,
    until: tape.until,
    publish,
    outcome,
    outcomesOf,
    /** Publishes `container.create` and answers its outcome, whichever it is. */
    tryCreate: (message: object) => command(subjects.create, message),
    tryDelete: (message: object) => command(subjects.delete, message),
    /** Makes a container and answers what `container.get` says of it; throws what the outcome says when it failed. */
    create: async (message: { id?: string; image?: string; [key: string]: unknown }) => {
      const whole = { id: ulid(), image: 'busybox', ...message }
      const expected = message['start'] === false ? 'container.created' : 'container.running'
      succeeded(expected, await command(subjects.create, whole))
      return ask(bus, verbs.containerGet, { container: whole.id })
    },
    remove: async (id: string) =>
      succeeded('container.deleted', await command(subjects.delete, { id, force: true })),
    get: (container: string) => ask(bus, verbs.containerGet, { container }),
    /** Patiently: what a test kills may answer only when it is back. */
    leaks: async () => {
      const signal = AbortSignal.timeout(patienceMs(60_000))
      return (await retrying(() => ask(bus, verbs.leaks, {}, { timeoutMs: 10_000 }), { signal })).leaks
    },
    eventsOf: (id: string, type?: string): CloudEvent[] =>
      tape.events.filter((event) => event.subject === id && (type === undefined || event.type === type)),
    exited: (id: string, timeoutMs?: number): Promise<CloudEvent> =>
      tape.until(
        `the exit of ${id}`,
        (event) => event.type === 'container.exited' && event.subject === id,
        timeoutMs,
      ),
    /** Waits until a service answers from another process than `before`. */
    answers: async (service: string, before: number | undefined): Promise<void> => {
      const operator = await connectBus(config, { role: 'operator', log })
      const isNew = async () =>
        (await operator.ping(service)).some(({ metadata }) => metadata['pid'] !== String(before))
      try {
        await eventually(`${service} answers from another process than ${before}`, isNew, 30_000)
      } finally {
        await operator.close()
      }
    },
    /** Runs a command in a running container; answers what it wrote and how it ended. */
    exec: async (container: string, args: string[]) => {
      const { execId, attachSocket } = await ask(bus, verbs.containerExec, { container, args })
      const written = attachedOutput(await spawnAttacher(attachSocket, 'held'))
      await ask(bus, verbs.containerExecStart, { container, execId })
      const output = await written
      const waited = { container, execId, timeoutMs: patienceMs(20_000) }
      const { exitCode } = await ask(bus, verbs.containerExecWait, waited, { timeoutMs: 30_000 })
      return { exitCode, output }
    },
    [Symbol.asyncDispose]: async () => {
      await tape.end()
      await bus.close()
    },
  }
}

export type ContainerClient = Awaited<ReturnType<typeof containerClient>>

/** A container for one test, deleted when the test ends, however it ends. */
export const containerFor = async (
  t: ExecutionContext,
  client: ContainerClient,
  message: { id?: string; image?: string; [key: string]: unknown } = {},
) => {
  const id = message.id ?? ulid()
  t.teardown(async () => {
    await client.tryDelete({ id, force: true })
  })
  return client.create({ command: ['sleep', '1000'], ...message, id })
}

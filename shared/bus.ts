import {
  type ConsumerConfig,
  DeliverPolicy,
  ErrorCode,
  Events,
  type JsMsg,
  type KV,
  type NatsConnection,
  NatsError,
  RequestStrategy,
  ServiceErrorHeader,
  type ServiceMsg,
  type StreamConfig,
  connect,
  createInbox,
  headers,
} from 'nats'
import { type Config, busAccess } from './config.ts'
import { CloudEvent } from './contracts/event.ts'
import { Failure, failureCodes, reasonOf } from './failure.ts'
import type { Log } from './log.ts'
import { retrying } from './retry.ts'
import { streams } from './streams.ts'
import { idOfEvent, subjects } from './subjects.ts'
import { ErrorBody, type Outcome } from './wire.ts'

const minimumServer = [2, 12] as const
/** The server's answer to an append whose expected sequence is not the subject's last (JSStreamWrongLastSequenceErrF). */
const wrongLastSequence = new Set([10071, 10164])
const requestWaitMs = 30_000
const maxJournalRecords = 10_000

/** A command as the work queue delivers it; unacknowledged until its saga has ended. */
export interface Command {
  subject: string
  body: Uint8Array
  messageId: string | undefined
  /** Sequence in the COMMANDS stream. */
  sequence: number
  time: Date
  deliveries: number
  /** Keeps the command with this process for another acknowledgement wait. */
  working(): void
  /** Resolves when the server has the acknowledgement. */
  done(): Promise<void>
  /** Never deliver again. */
  reject(reason: string): void
  /** Deliver again, to anyone, after the delay. */
  release(delayMs?: number): void
}

export interface StoredEvent {
  sequence: number
  subject: string
  /** Undefined when the record is not a CloudEvent; `raw` says what it is. */
  event: CloudEvent | undefined
  raw: string
}

export interface NewEvent {
  kind: string
  id: string
  type: string
  data: Record<string, unknown>
  messageId: string
  commandId?: string | undefined
}

/** `fence` is the token of a saga's run, on requests that belong to one. */
type Handle = (body: unknown, fence: number | undefined) => Promise<Outcome>

interface Served {
  name: string
  description: string
  metadata: Record<string, string>
  endpoints: { name: string; subject: string; handle: Handle }[]
}

const isTooOld = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < minimumServer[0] || (major === minimumServer[0] && minor < minimumServer[1])
}

const failureOf = (error: unknown, what: string): Failure => {
  if (error instanceof Failure) return error
  const code = error instanceof NatsError ? error.code : ''
  const said = error instanceof NatsError ? (error.api_error?.description ?? error.message) : reasonOf(error)
  if (error instanceof NatsError && error.api_error && wrongLastSequence.has(error.api_error.err_code ?? 0))
    return new Failure('stale', `${what}: ${said}`, { cause: error })
  if (code === ErrorCode.Timeout)
    return new Failure('timeout', `${what}: no answer in time`, { cause: error })
  if (code === ErrorCode.PermissionsViolation || code === ErrorCode.AuthorizationViolation)
    return new Failure('not_permitted', `${what}: ${said}`, { cause: error })
  return new Failure('unavailable', `${what}: ${code === ErrorCode.NoResponders ? 'nobody answers' : said}`, {
    cause: error,
  })
}

/** JSON of a message's body; throws `Failure` (`invalid_message`) when it is none. */
export const parseJson = (body: Uint8Array): unknown => {
  try {
    return body.length === 0 ? {} : JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch (error) {
    throw new Failure('invalid_message', `the body is not JSON in UTF-8: ${reasonOf(error)}`, {
      cause: error,
    })
  }
}

const fenceHeader = 'Dolly-Fence'

const fenced = (fence: number | undefined) => {
  if (fence === undefined) return {}
  const named = headers()
  named.set(fenceHeader, String(fence))
  return { headers: named }
}

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))

const stored = (sequence: number, subject: string, data: Uint8Array): StoredEvent => {
  const raw = new TextDecoder().decode(data)
  let parsed: unknown
  try {
    parsed = JSON.parse(raw)
  } catch {
    parsed = undefined // the reader of the journal reports it with its sequence
  }
  return { sequence, subject, event: CloudEvent.safeParse(parsed).data, raw }
}

/** A header value holds one line of printable characters. */
const headerLine = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 500)

const answer = async (handle: Handle, message: ServiceMsg): Promise<void> => {
  let outcome: Outcome
  try {
    const token = message.headers?.get(fenceHeader)
    outcome = await handle(parseJson(message.data), token ? Number(token) : undefined)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    outcome = { failure: error, transcript: [] }
  }
  if (!('failure' in outcome))
    return void message.respond(encode('plain' in outcome ? outcome.plain : outcome))
  const { code, message: text, details } = outcome.failure
  const body = encode({ code, message: text, details, transcript: outcome.transcript })
  message.respondError(failureCodes[code].status, headerLine(text), body)
}

const consume = async function* (
  connection: NatsConnection,
  stream: string,
  durable: string,
  signal: AbortSignal,
) {
  const consumer = await connection.jetstream().consumers.get(stream, durable)
  const { config: limits } = await consumer.info(true)
  const messages = await consumer.consume({
    max_messages: limits.max_ack_pending ?? 100,
    idle_heartbeat: 2000,
    expires: 10_000,
  })
  const stop = () => messages.stop()
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  yield* messages
}

/** Makes or updates the streams, their consumers and the buckets; needs a role that may. */
const ensureStreams = async (connection: NatsConnection, config: Config): Promise<void> => {
  const manager = await connection.jetstreamManager({ timeout: 10_000 })
  const { commands, events, consumers, projector, buckets } = streams(config)
  for (const stream of [commands, events] as unknown as StreamConfig[]) {
    const existing = await manager.streams.info(stream.name).catch(() => undefined) // absent, or the add says why not
    await (existing ? manager.streams.update(stream.name, stream) : manager.streams.add(stream))
  }
  for (const consumer of consumers as unknown as ConsumerConfig[])
    await manager.consumers.add('COMMANDS', consumer)
  await manager.consumers.add('EVENTS', projector as unknown as ConsumerConfig)
  for (const bucket of buckets) await connection.jetstream().views.kv(bucket, { history: 1 })
}

const watchStatus = async (connection: NatsConnection, log: Log): Promise<void> => {
  for await (const { type, data } of connection.status()) {
    if (type === Events.Disconnect || type === Events.Reconnect) log.warn({ server: data }, `bus ${type}ed`)
  }
}

const commandOf = (message: JsMsg): Command => ({
  subject: message.subject,
  body: message.data,
  messageId: message.headers?.get('Nats-Msg-Id') || undefined,
  sequence: message.seq,
  time: new Date(message.info.timestampNanos / 1e6),
  deliveries: message.info.redeliveryCount,
  working: () => message.working(),
  done: async () => void (await message.ackAck()),
  reject: (reason) => message.term(reason),
  release: (delayMs) => message.nak(delayMs),
})

/** Connects to the bus as `role`; reconnects for ever once connected. Throws `Failure` (`unavailable`, `not_permitted`, `host_unfit`). */
export const connectBus = async (
  config: Config,
  { role, log, patient = true }: { role: string; log: Log; patient?: boolean },
) => {
  const { url, user, password } = busAccess(config, role)
  const connection = await connect({
    servers: url,
    ...(user ? { user, pass: password } : {}),
    name: `${role}@${config.node}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 200,
    waitOnFirstConnect: patient,
    ignoreClusterUpdates: true,
  }).catch((error: unknown) => {
    throw failureOf(error, `cannot reach the bus at ${url}`)
  })
  const version = connection.info?.version ?? '0'
  if (isTooOld(version)) {
    await connection.close()
    throw new Failure(
      'host_unfit',
      `the NATS server at ${url} is ${version}; Dolly needs ${minimumServer.join('.')} or newer`,
    )
  }
  const jetstream = connection.jetstream({ timeout: 5000 })
  const source = `/dolly/${config.node}/${role}/${process.pid}`
  const closing = new AbortController()

  const append = async (
    { kind, id, type, data, messageId, commandId }: NewEvent,
    expectedSequence?: number,
  ) => {
    const subject = subjects.event(kind, id)
    const event: CloudEvent = {
      specversion: '1.0',
      id: messageId,
      source,
      type,
      subject: id,
      time: new Date().toISOString(),
      datacontenttype: 'application/json',
      ...(commandId ? { commandid: commandId } : {}),
      data,
    }
    const expect = expectedSequence === undefined ? {} : { expect: { lastSubjectSequence: expectedSequence } }
    try {
      const ack = await jetstream.publish(subject, encode(event), { msgID: messageId, ...expect })
      return { sequence: ack.seq, duplicate: ack.duplicate, event }
    } catch (error) {
      throw failureOf(error, `cannot append ${type} to ${subject}`)
    }
  }

  const bus = {
    info: () => ({ url, version, connected: !connection.isClosed() }),
    closed: connection.closed(),

    /** Sends a request and answers its JSON reply. Throws the replier's `Failure`, `unavailable` or `timeout`. */
    request: async (
      subject: string,
      body: unknown,
      {
        timeoutMs = requestWaitMs,
        signal,
        fence,
      }: { timeoutMs?: number; signal?: AbortSignal; fence?: number } = {},
    ): Promise<unknown> => {
      signal?.throwIfAborted()
      const abort = Promise.withResolvers<never>()
      const onAbort = () => abort.reject(signal?.reason)
      signal?.addEventListener('abort', onAbort, { once: true })
      try {
        const reply = await Promise.race([
          connection.request(subject, encode(body), { timeout: timeoutMs, ...fenced(fence) }),
          abort.promise,
        ])
        const parsed = parseJson(reply.data)
        if (!reply.headers?.has(ServiceErrorHeader)) return parsed
        const { code, message, details, transcript } = ErrorBody.parse(parsed)
        throw new Failure(code, message, { details: { ...details, transcript } })
      } catch (error) {
        throw failureOf(error, `cannot ask ${subject}`)
      } finally {
        signal?.removeEventListener('abort', onAbort)
      }
    },

    /** Publishes a command; the receipt says that the work queue has it. */
    publishCommand: async (subject: string, body: unknown, { messageId }: { messageId?: string } = {}) => {
      try {
        const ack = await jetstream.publish(subject, encode(body), messageId ? { msgID: messageId } : {})
        return { stream: ack.stream, sequence: ack.seq, duplicate: ack.duplicate }
      } catch (error) {
        throw failureOf(error, `cannot publish ${subject}`)
      }
    },

    /** Appends one event; with `expectedSequence` only if that is still the subject's last. Throws `Failure` (`stale`). */
    append,

    /** Appends a fact, trying for as long as the bus is away. */
    publishEvent: (event: NewEvent) => retrying(() => append(event), { signal: closing.signal, log }),

    /** Every record of one id, oldest first. */
    journal: async (kind: string, id: string): Promise<StoredEvent[]> => {
      const subject = subjects.event(kind, id)
      const found: StoredEvent[] = []
      try {
        const replies = await connection.requestMany(
          '$JS.API.DIRECT.GET.EVENTS',
          encode({ seq: 1, batch: maxJournalRecords, next_by_subj: subject }),
          { strategy: RequestStrategy.SentinelMsg, maxWait: 5000 },
        )
        for await (const reply of replies) {
          const code = reply.headers?.code ?? 0
          if (code === 404 || code === 204) return found
          if (code >= 400) throw new Failure('unavailable', `${code} ${reply.headers?.description}`)
          found.push(stored(Number(reply.headers?.get('Nats-Sequence')), subject, reply.data))
        }
      } catch (error) {
        throw failureOf(error, `cannot read ${subject}`)
      }
      throw new Failure('timeout', `cannot read ${subject}: the answer is incomplete`)
    },

    /** Follows events as they are stored, in order, across reconnects, until the signal. */
    followEvents: async function* (
      { kind = '*', id = '*', after = 'new' }: { kind?: string; id?: string; after?: 'new' | 'all' | number },
      signal: AbortSignal,
    ) {
      const start =
        typeof after === 'number'
          ? { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: after + 1 }
          : { deliver_policy: after === 'all' ? DeliverPolicy.All : DeliverPolicy.New }
      const consumer = await jetstream.consumers.get('EVENTS', {
        filterSubjects: subjects.event(kind, id),
        ...start,
      })
      const messages = await consumer.consume({ max_messages: 500 })
      const stop = () => messages.stop()
      signal.addEventListener('abort', stop, { once: true })
      if (signal.aborted) stop()
      for await (const message of messages) {
        yield { ...stored(message.seq, message.subject, message.data), pending: message.info.pending }
      }
    },

    /** Hands each command of a durable consumer to `handle` at once; the consumer's limit bounds how many. Ends with the signal. */
    consumeCommands: async (durable: string, handle: (command: Command) => void, signal: AbortSignal) => {
      for await (const message of consume(connection, 'COMMANDS', durable, signal)) handle(commandOf(message))
    },

    /** Hands each event of a durable consumer to `handle`, one after another; acknowledged when it resolves. */
    consumeEvents: async (
      durable: string,
      handle: (event: StoredEvent) => Promise<void>,
      signal: AbortSignal,
    ) => {
      for await (const message of consume(connection, 'EVENTS', durable, signal)) {
        await handle(stored(message.seq, message.subject, message.data))
        message.ack()
      }
    },

    /** Sees events as they are published, stored or not: hints to look, never the truth. */
    hints: (kind: string, see: (id: string, raw: string) => void): void => {
      connection.subscribe(subjects.events(kind), {
        callback: (error, message) => {
          if (error) return log.error({ err: error, kind }, 'subscription ended')
          see(idOfEvent(message.subject), message.string())
        },
      })
    },

    /** Commands still in the work queue up to a sequence, oldest first. */
    pendingCommands: async (subject: string, before: number): Promise<Uint8Array[]> => {
      const manager = await connection.jetstreamManager()
      const found: Uint8Array[] = []
      for (let from = 1; from < before;) {
        const message = await manager.streams
          .getMessage('COMMANDS', { seq: from, next_by_subj: subject } as { seq: number })
          .catch(() => undefined)
        if (!message || message.seq >= before) break
        found.push(message.data)
        from = message.seq + 1
      }
      return found
    },

    bucket: (name: string): Promise<KV> => jetstream.views.kv(name, { history: 1 }),

    /** Answers requests by the NATS services convention (PING, INFO, STATS come with it). */
    serve: async ({ name, description, metadata, endpoints }: Served): Promise<void> => {
      const service = await connection.services.add({
        name,
        version: '0.1.0',
        description,
        metadata,
        queue: name,
      })
      for (const { name: endpointName, subject, handle } of endpoints) {
        service.addEndpoint(endpointName, {
          subject,
          handler: (error, message) => {
            if (error) return log.error({ err: error, subject }, 'subscription ended')
            void answer(handle, message) // a bug in a handler is an unhandled rejection, which ends the process
          },
        })
      }
    },

    /** Who answers `$SRV.PING.<name>` now. */
    ping: async (name: string): Promise<{ id: string; metadata: Record<string, string> }[]> => {
      const found = []
      try {
        const replies = await connection.services
          .client({ strategy: RequestStrategy.JitterTimer, maxWait: 1000 })
          .ping(name)
        for await (const { id, metadata } of replies) found.push({ id, metadata: metadata ?? {} })
      } catch (error) {
        if (!(error instanceof NatsError) || error.code !== ErrorCode.NoResponders) throw error
      }
      return found
    },

    /** Tells everyone that a host service is (again) there, so that nobody waits for a reply that will not come. */
    announce: (node: string, service: string): void => {
      const id = `${node}-${service}`
      bus
        .publishEvent({
          kind: 'service',
          id,
          type: 'service.started',
          data: { node, service, pid: process.pid },
          messageId: createInbox(),
        })
        .catch((error: unknown) => log.warn({ reason: reasonOf(error) }, 'start not announced'))
    },

    ensureStreams: () => ensureStreams(connection, config),

    /** Drains: requests in hand are answered, then the connection is closed. */
    close: async (): Promise<void> => {
      closing.abort(new Failure('interrupted', 'the bus connection is closing'))
      await connection.drain().catch(() => connection.close()) // a lost server cannot be drained
    },
  }

  void watchStatus(connection, log)
  return bus
}

export type Bus = Awaited<ReturnType<typeof connectBus>>

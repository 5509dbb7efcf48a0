import {
  type ConsumerConfig,
  DeliverPolicy,
  ErrorCode,
  Events,
  type JsMsg,
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
import type { Command } from './contracts/command.ts'
import { type NewEvent, type StoredEvent, cloudEvent, storedEvent } from './contracts/event.ts'
import { Failure, failureCodes, reasonOf } from './failure.ts'
import type { Log } from './log.ts'
import { type RequestMeta, metaHeaders, readMeta } from './request-meta.ts'
import { retrying } from './retry.ts'
import { streams } from './streams.ts'
import { idOfEvent, subjects } from './subjects.ts'
import { ErrorBody, type Outcome, encode, parseJson } from './wire.ts'

const minimumServer = [2, 12] as const
/** The server's answer to an append whose expected sequence is not the subject's last (JSStreamWrongLastSequenceErrF). */
const wrongLastSequence = new Set([10071, 10164])
const requestWaitMs = 30_000
const maxJournalRecords = 10_000

type Handle = (body: unknown, meta: RequestMeta) => Promise<Outcome>

interface RequestOptions extends RequestMeta {
  timeoutMs?: number
  signal?: AbortSignal
}

interface Followed {
  kind?: string
  id?: string
  /** Where to begin: with what comes, with all there is, or after a sequence. */
  after?: 'new' | 'all' | number
}

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

const headersOf = (meta: RequestMeta) => {
  const named = headers()
  for (const [name, value] of Object.entries(metaHeaders(meta))) named.set(name, value)
  return named
}

/** A header value holds one line of printable characters. */
const headerLine = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 500)

const answer = async (handle: Handle, message: ServiceMsg): Promise<void> => {
  let outcome: Outcome
  try {
    outcome = await handle(
      parseJson(message.data),
      readMeta((name) => message.headers?.get(name) ?? ''),
    )
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

const stopWith = (signal: AbortSignal, messages: { stop(): void }): void => {
  signal.addEventListener('abort', () => messages.stop(), { once: true })
  if (signal.aborted) messages.stop()
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
  stopWith(signal, messages)
  yield* messages
}

/** Makes or updates the streams, their consumers and the buckets; needs a role that may. */
const ensureStreams = async (connection: NatsConnection, config: Config): Promise<void> => {
  const manager = await connection.jetstreamManager({ timeout: 10_000 })
  const { commands, events, consumers, projector, restarts, buckets } = streams(config)
  for (const stream of [commands, events] as unknown as StreamConfig[]) {
    const existing = await manager.streams.info(stream.name).catch(() => undefined) // absent, or the add says why not
    await (existing ? manager.streams.update(stream.name, stream) : manager.streams.add(stream))
  }
  for (const consumer of consumers as unknown as ConsumerConfig[])
    await manager.consumers.add('COMMANDS', consumer)
  for (const consumer of [projector, restarts] as unknown as ConsumerConfig[])
    await manager.consumers.add('EVENTS', consumer)
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
  done: async () => {
    await message.ackAck().catch((error: unknown) => {
      throw failureOf(error, `cannot acknowledge ${message.subject}`)
    })
  },
  reject: (reason) => message.term(reason),
  release: (delayMs) => message.nak(delayMs),
})

const requests = (connection: NatsConnection, log: Log) => ({
  /** Sends a request and answers its JSON reply. Throws the replier's `Failure`, `unavailable` or `timeout`. */
  request: async (
    subject: string,
    body: unknown,
    { timeoutMs = requestWaitMs, signal, ...meta }: RequestOptions = {},
  ): Promise<unknown> => {
    signal?.throwIfAborted()
    const abort = Promise.withResolvers<never>()
    const onAbort = () => abort.reject(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      const answered = connection.request(subject, encode(body), {
        timeout: timeoutMs,
        headers: headersOf(meta),
      })
      const reply = await Promise.race([answered, abort.promise])
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
    const client = connection.services.client({ strategy: RequestStrategy.JitterTimer, maxWait: 1000 })
    const found = []
    try {
      for await (const { id, metadata } of await client.ping(name))
        found.push({ id, metadata: metadata ?? {} })
    } catch (error) {
      if (!(error instanceof NatsError) || error.code !== ErrorCode.NoResponders) throw error
    }
    return found
  },
})

const workQueue = (connection: NatsConnection) => ({
  /** Publishes a command; the receipt says that the work queue has it. */
  publishCommand: async (subject: string, body: unknown, { messageId }: { messageId?: string } = {}) => {
    try {
      const options = messageId ? { msgID: messageId } : {}
      const { stream, seq, duplicate } = await connection.jetstream().publish(subject, encode(body), options)
      return { stream, sequence: seq, duplicate }
    } catch (error) {
      throw failureOf(error, `cannot publish ${subject}`)
    }
  },

  /** Hands each command of a durable consumer to `handle` at once; the consumer's limit bounds how many. Ends with the signal. */
  consumeCommands: async (durable: string, handle: (command: Command) => void, signal: AbortSignal) => {
    for await (const message of consume(connection, 'COMMANDS', durable, signal)) handle(commandOf(message))
  },

  /** Commands still in the work queue up to a sequence, oldest first. */
  pendingCommands: async (subject: string, before: number): Promise<Uint8Array[]> => {
    const { streams: stored } = await connection.jetstreamManager()
    const found: Uint8Array[] = []
    for (let from = 1; from < before;) {
      // The API takes `next_by_subj` beside `seq`; the client's type does not know it. Nothing further is an error.
      const query = { seq: from, next_by_subj: subject } as { seq: number }
      const message = await stored.getMessage('COMMANDS', query).catch(() => undefined)
      if (!message || message.seq >= before) break
      found.push(message.data)
      from = message.seq + 1
    }
    return found
  },
})

const eventLog = (connection: NatsConnection, source: string, log: Log) => {
  const closing = new AbortController()

  const append = async (event: NewEvent, expectedSequence?: number) => {
    const subject = subjects.event(event.kind, event.id)
    const expect = expectedSequence === undefined ? {} : { expect: { lastSubjectSequence: expectedSequence } }
    try {
      const options = { msgID: event.messageId, ...expect }
      const { seq, duplicate } = await connection
        .jetstream()
        .publish(subjects.append(event.kind, event.id), encode(cloudEvent(event, source)), options)
      return { sequence: seq, duplicate }
    } catch (error) {
      throw failureOf(error, `cannot append ${event.type} to ${subject}`)
    }
  }

  return {
    closing,
    /** Appends one event; with `expectedSequence` only if that is still the subject's last. Throws `Failure` (`stale`). */
    append,

    /** Appends a fact, trying for as long as the bus is away. */
    publishEvent: (event: NewEvent) => retrying(() => append(event), { signal: closing.signal, log }),

    /** Every record of one id, oldest first. */
    journal: async (kind: string, id: string): Promise<StoredEvent[]> => {
      const subject = subjects.event(kind, id)
      const found: StoredEvent[] = []
      const query = encode({ seq: 1, batch: maxJournalRecords, next_by_subj: subject })
      const options = { strategy: RequestStrategy.SentinelMsg, maxWait: 5000 }
      try {
        for await (const { headers: meta, data } of await connection.requestMany(
          '$JS.API.DIRECT.GET.EVENTS',
          query,
          options,
        )) {
          const code = meta?.code ?? 0
          if (code === 404 || code === 204) return found
          if (code >= 400) throw new Failure('unavailable', `${code} ${meta?.description}`)
          found.push(storedEvent(Number(meta?.get('Nats-Sequence')), subject, data))
        }
      } catch (error) {
        throw failureOf(error, `cannot read ${subject}`)
      }
      throw new Failure('timeout', `cannot read ${subject}: the answer is incomplete`)
    },

    /** Follows events as they are stored, in order, across reconnects, until the signal; `pending` more are waiting. */
    followEvents: async function* ({ kind = '*', id = '*', after = 'new' }: Followed, signal: AbortSignal) {
      // `DeliverPolicy.All` would be refused: the client names a start sequence beside it.
      const start =
        after === 'new'
          ? { deliver_policy: DeliverPolicy.New }
          : {
              deliver_policy: DeliverPolicy.StartSequence,
              opt_start_seq: after === 'all' ? 1 : after + 1,
            }
      const selection = { filterSubjects: subjects.event(kind, id), ...start }
      const consumer = await connection.jetstream().consumers.get('EVENTS', selection)
      const messages = await consumer.consume({ max_messages: 500 })
      stopWith(signal, messages)
      for await (const { seq, subject, data, info } of messages)
        yield { ...storedEvent(seq, subject, data), pending: info.pending }
    },

    /** Hands each event of a durable consumer to `handle`, one after another; acknowledged when it resolves. */
    consumeEvents: async (
      durable: string,
      handle: (event: StoredEvent) => Promise<void>,
      signal: AbortSignal,
    ) => {
      for await (const message of consume(connection, 'EVENTS', durable, signal)) {
        await handle(storedEvent(message.seq, message.subject, message.data))
        message.ack()
      }
    },

    /** Hands each event of a durable consumer to `handle` at once; what it answers is the delay until it is delivered again. */
    considerEvents: async (
      durable: string,
      handle: (event: StoredEvent, deliveries: number) => Promise<number | undefined>,
      signal: AbortSignal,
    ) => {
      for await (const message of consume(connection, 'EVENTS', durable, signal)) {
        const event = storedEvent(message.seq, message.subject, message.data)
        void handle(event, message.info.redeliveryCount).then((delayMs) =>
          delayMs === undefined ? message.ack() : message.nak(delayMs),
        )
      }
    },

    /** Every id that has events of this kind. */
    idsOf: async (kind: string): Promise<string[]> => {
      const manager = await connection.jetstreamManager()
      const { state } = await manager.streams.info('EVENTS', { subjects_filter: subjects.events(kind) })
      return Object.keys(state.subjects ?? {}).map(idOfEvent)
    },

    /** Sees events as they are stored, without a promise to see all: hints to look. */
    hints: (kind: string, see: (id: string, raw: string) => void): void => {
      connection.subscribe(subjects.events(kind), {
        callback: (error, message) => {
          if (error) return log.error({ err: error, kind }, 'subscription ended')
          see(idOfEvent(message.subject), message.string())
        },
      })
    },
  }
}

/** A key-value bucket. A write on a revision that is not the last throws `Failure` (`stale`); the rest as everywhere on the bus. */
const bucket = async (connection: NatsConnection, name: string) => {
  const failing = async <T>(what: string, act: () => Promise<T>): Promise<T> => {
    try {
      return await act()
    } catch (error) {
      throw failureOf(error, `cannot ${what} of ${name}`)
    }
  }
  const kv = await failing('find the keys', () => connection.jetstream().views.kv(name, { history: 1 }))
  return {
    get: (key: string) => failing(`read ${key}`, () => kv.get(key)),
    create: (key: string, value: string) => failing(`create ${key}`, () => kv.create(key, value)),
    put: (key: string, value: string, { previousSeq }: { previousSeq: number }) =>
      failing(`write ${key}`, () => kv.put(key, value, { previousSeq })),
    delete: (key: string, { previousSeq }: { previousSeq: number }) =>
      failing(`delete ${key}`, () => kv.delete(key, { previousSeq })),
    watch: (options: { initializedFn: () => void }) => failing('watch the keys', () => kv.watch(options)),
  }
}

const openConnection = async (config: Config, role: string, patient: boolean): Promise<NatsConnection> => {
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
  if (!isTooOld(version)) return connection
  await connection.close()
  throw new Failure(
    'host_unfit',
    `the NATS server at ${url} is ${version}; Dolly needs ${minimumServer.join('.')} or newer`,
  )
}

/**
 * Connects to the bus as `role`; once connected it reconnects for ever, and with `patient` it waits for the
 * first connection too. Throws `Failure` (`unavailable`, `not_permitted`, `host_unfit`).
 */
export const connectBus = async (
  config: Config,
  { role, log, patient = true }: { role: string; log: Log; patient?: boolean },
) => {
  const connection = await openConnection(config, role, patient)
  const { closing, ...events } = eventLog(connection, `/dolly/${config.node}/${role}/${process.pid}`, log)
  void watchStatus(connection, log)
  return {
    ...requests(connection, log),
    ...workQueue(connection),
    ...events,
    info: () => ({ url: connection.getServer(), version: connection.info?.version ?? '' }),
    bucket: (name: string) => bucket(connection, name),
    ensureStreams: () => ensureStreams(connection, config),
    /** Tells everyone that a service is (again) there, so that nobody waits for a reply that will not come. */
    announce: (node: string, service: string): void => {
      const data = { node, service, pid: process.pid }
      events
        .publishEvent({
          kind: 'service',
          id: `${node}-${service}`,
          type: 'service.started',
          data,
          messageId: createInbox(),
        })
        .catch((error: unknown) => log.warn({ reason: reasonOf(error) }, 'start not announced'))
    },
    /** Drains: requests in hand are answered, then the connection is closed. */
    close: async (): Promise<void> => {
      closing.abort(new Failure('interrupted', 'the bus connection is closing'))
      await connection.drain().catch(() => connection.close()) // a lost server cannot be drained
    },
  }
}

export type Bus = Awaited<ReturnType<typeof connectBus>>

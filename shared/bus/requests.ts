import { Failure, failureCodes } from '../failure.ts'
import type { Log } from '../log.ts'
import { type RequestMeta, metaHeaders, readMeta } from '../request-meta.ts'
import { ErrorBody, type Outcome, encode, parseAnswer, parseJson } from '../wire.ts'
import { failureOf } from './failure-of.ts'
import {
  ErrorCode,
  type NatsConnection,
  NatsError,
  RequestStrategy,
  type Service,
  ServiceErrorHeader,
  type ServiceMsg,
  headers,
} from './nats.ts'
import { patienceMs } from '../patience.ts'

const requestWaitMs = 30_000
/** `max_payload` of a NATS server that is told nothing else. */
const usualMaxPayload = 1_048_576

type Handle = (body: unknown, meta: RequestMeta, subject: string) => Promise<Outcome>

interface RequestOptions extends RequestMeta {
  timeoutMs?: number
  signal?: AbortSignal
}

interface Served {
  name: string
  description: string
  metadata: Record<string, string>
  endpoints: { name: string; subject: string; handle: Handle }[]
}

const headersOf = (meta: RequestMeta) => {
  const named = headers()
  for (const [name, value] of Object.entries(metaHeaders(meta))) named.set(name, value)
  return named
}

/** A header value holds one line of printable characters. */
const headerLine = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 500)

const tooLarge = (subject: string, { length }: Uint8Array, maxBytes: number) =>
  new Failure(
    'limit_refused',
    `the answer of ${subject} has ${length} bytes: a message of the bus holds ${maxBytes}`,
  )

const answer = async (handle: Handle, message: ServiceMsg, maxBytes: number): Promise<void> => {
  let outcome: Outcome
  try {
    outcome = await handle(
      parseJson(message.data),
      readMeta((name) => message.headers?.get(name) ?? ''),
      message.subject,
    )
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    outcome = { failure: error, transcript: [] }
  }
  if (!('failure' in outcome)) {
    const body = encode('plain' in outcome ? outcome.plain : outcome)
    if (body.length <= maxBytes) return void message.respond(body)
    outcome = { failure: tooLarge(message.subject, body, maxBytes), transcript: [] }
  }
  const { code, message: text, details } = outcome.failure
  const whole = encode({ code, message: text, details, transcript: outcome.transcript })
  const body = whole.length <= maxBytes ? whole : encode({ code, message: headerLine(text) })
  message.respondError(failureCodes[code].status, headerLine(text), body)
}

/** Requests, and services that answer them. */
export const requests = (connection: NatsConnection, log: Log) => {
  const services = new Set<Service>()
  const answering = new Set<Promise<void>>()
  return {
    /** Sends a request and answers its JSON reply. Throws the replier's `Failure`, `unavailable` or `timeout`. */
    request: async (
      subject: string,
      body: unknown,
      { timeoutMs = requestWaitMs, signal, ...meta }: RequestOptions = {},
    ): Promise<unknown> => {
      const abort = Promise.withResolvers<never>()
      const onAbort = () => abort.reject(signal?.reason)
      signal?.addEventListener('abort', onAbort, { once: true })
      try {
        signal?.throwIfAborted()
        const answered = connection.request(subject, encode(body), {
          timeout: patienceMs(timeoutMs),
          headers: headersOf(meta),
        })
        const reply = await Promise.race([answered, abort.promise])
        const parsed = parseJson(reply.data)
        if (!reply.headers?.has(ServiceErrorHeader)) return parsed
        const { code, message, details, transcript } = parseAnswer(ErrorBody, parsed, subject)
        throw new Failure(code, message, { details: { ...details, transcript } })
      } catch (error) {
        throw failureOf(error, `cannot ask ${subject}`)
      } finally {
        signal?.removeEventListener('abort', onAbort)
      }
    },

    /** Sends a request of which no reply is awaited, nor that anyone takes it. */
    tell: (subject: string, body: unknown, meta: RequestMeta): void =>
      connection.publish(subject, encode(body), { headers: headersOf(meta) }),

    /** Answers requests by the NATS services convention (PING, INFO, STATS come with it), from when it resolves. */
    serve: async ({ name, description, metadata, endpoints }: Served): Promise<void> => {
      const service = await connection.services.add({
        name,
        version: '0.1.0',
        description,
        metadata,
        queue: name,
      })
      services.add(service)
      for (const { name: endpointName, subject, handle } of endpoints) {
        service.addEndpoint(endpointName, {
          subject,
          handler: (error, message) => {
            if (error) return log.error({ err: error, subject }, 'subscription ended')
            // The header lines of a reply count too.
            const maxBytes = (connection.info?.max_payload ?? usualMaxPayload) - 1024
            const answered = answer(handle, message, maxBytes) // a bug in a handler is an unhandled rejection, which ends the process
            answering.add(answered)
            void answered.finally(() => answering.delete(answered))
          },
        })
      }
      // The server has heard of it then; one that went away meanwhile hears of it when it is back.
      await connection.flush().catch(() => undefined)
    },

    /** Takes no request any more, and answers those that are in hand; ends when all are answered. */
    endServing: async (): Promise<void> => {
      const ending = [...services].map((service) => service.stop())
      services.clear()
      await Promise.all(ending)
      await Promise.all(answering)
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

    /** Milliseconds until that one answers a ping: what its event loop lags behind. Throws an error of the connection. */
    pingMs: async (name: string, id: string): Promise<number> => {
      const begun = performance.now()
      await connection.request(`$SRV.PING.${name}.${id}`, new Uint8Array(), { timeout: 5000 })
      return performance.now() - begun
    },
  }
}

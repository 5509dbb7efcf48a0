import type { Failure } from '../failure.ts'
import { patienceMs } from '../patience.ts'
import { encode } from '../wire.ts'
import { failureOf } from './failure-of.ts'
import { gather } from './gather.ts'
import { unlessLost } from './lost-replies.ts'
import { type JsMsg, type NatsConnection, RequestStrategy, toJsMsg } from './nats.ts'

const pullWaitMs = 5000
/** Nothing tells of what is delivered again, nor of what was stored while the connection was away. */
const lookMs = 2000

const pullOnce = async (connection: NatsConnection, subject: string, batch: number): Promise<JsMsg[]> => {
  const found: JsMsg[] = []
  // With a subscription of its own: messages come by the subject that they were stored under.
  const options = { strategy: RequestStrategy.Timer, maxWait: patienceMs(pullWaitMs), noMux: true }
  const request = encode({ batch, no_wait: true })
  for await (const message of await connection.requestMany(subject, request, options)) {
    // The end has a status: no more messages, or a server that is about to end.
    if ((message.headers?.code ?? 0) >= 400) return found
    found.push(toJsMsg(message))
    if (found.length === batch) return found
  }
  return found
}

/** At most so many events that a durable consumer has now. Throws `Failure`. */
const pull = (connection: NatsConnection, durable: string, batch: number): Promise<JsMsg[]> =>
  unlessLost(connection, pullOnce(connection, `$JS.API.CONSUMER.MSG.NEXT.EVENTS.${durable}`, batch)).catch(
    (error: unknown) => {
      throw failureOf(error, `cannot ask ${durable} for events`)
    },
  )

interface PullParts {
  connection: NatsConnection
  durable: string
  /** The most messages at once. */
  batch: number
  /** How long after a hint they are asked for. */
  waitMs: number
  signal: AbortSignal
  /** Told why events could not be had; they are asked for again. */
  onFailure: (reason: string) => void
}

/**
 * The events of a durable consumer of the log, asked for together a moment after the first `hint`, and now and then without
 * one. A server that hands on what comes at once writes what the consumer has, synced, each time that something comes.
 */
export const createPull = ({ connection, durable, batch, waitMs, signal, onFailure }: PullParts) => {
  const hints = gather<void>(waitMs)
  const hint = (): void => hints.add()
  return {
    hint,
    /** Asks for them at once. */
    hurry: (): void => {
      hint()
      hints.hurry()
    },
    /** Batches as they are had, empty ones too; ends with the signal. */
    take: async function* () {
      const looking = setInterval(hint, lookMs)
      looking.unref()
      signal.addEventListener('abort', hints.end, { once: true })
      if (signal.aborted) hints.end()
      hint()
      try {
        for await (const { hurried } of hints.take()) {
          if (signal.aborted) return
          const items = await pull(connection, durable, batch).catch((error: Failure) => {
            onFailure(error.message)
            return []
          })
          if (items.length === batch) hint()
          yield { items, hurried }
        }
      } finally {
        clearInterval(looking)
      }
    },
  }
}

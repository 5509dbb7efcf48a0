import { setTimeout as delay } from 'node:timers/promises'
import type { Failure } from '../failure.ts'
import { patienceMs } from '../patience.ts'
import { encode } from '../wire.ts'
import { failureOf } from './failure-of.ts'
import { unlessLost } from './lost-replies.ts'
import { type JsMsg, type NatsConnection, RequestStrategy, toJsMsg } from './nats.ts'

const pullWaitMs = 5000
/** Nothing tells of what is delivered again, nor of what was stored while the connection was away. */
const lookMs = 2000

/** Asks once; `found` has what came, though the answer may never end. */
const pullOnce = async (
  connection: NatsConnection,
  subject: string,
  batch: number,
  found: JsMsg[],
): Promise<void> => {
  // With a subscription of its own: messages come by the subject that they were stored under.
  const options = { strategy: RequestStrategy.Timer, maxWait: patienceMs(pullWaitMs), noMux: true }
  const request = encode({ batch, no_wait: true })
  for await (const message of await connection.requestMany(subject, request, options)) {
    // The end has a status: no more messages, or a server that is about to end.
    if ((message.headers?.code ?? 0) >= 400) return
    found.push(toJsMsg(message))
    if (found.length === batch) return
  }
}

/** At most so many events that a durable consumer has now. Throws `Failure`. */
const pull = async (connection: NatsConnection, durable: string, batch: number): Promise<JsMsg[]> => {
  const found: JsMsg[] = []
  const subject = `$JS.API.CONSUMER.MSG.NEXT.EVENTS.${durable}`
  try {
    await unlessLost(connection, pullOnce(connection, subject, batch, found))
  } catch (error) {
    // What came before the bus was away is not delivered again for as long as it may be worked on.
    if (found.length === 0) throw failureOf(error, `cannot ask ${durable} for events`)
  }
  return found.slice()
}

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
  let hinted = Promise.withResolvers<void>()
  let hurried = new AbortController()
  const hint = (): void => hinted.resolve()
  const hurry = (): void => {
    hint()
    hurried.abort()
  }
  /** Answers whether somebody is in a hurry. */
  const nextHint = async (): Promise<boolean> => {
    await hinted.promise
    await delay(waitMs, undefined, { signal: hurried.signal }).catch(() => undefined) // hurried
    const isHurried = hurried.signal.aborted
    ;[hinted, hurried] = [Promise.withResolvers<void>(), new AbortController()]
    return isHurried
  }
  return {
    hint,
    /** Asks for them at once. */
    hurry,
    /** Batches as they are had, empty ones too; ends with the signal, after an empty one that is hurried. */
    take: async function* () {
      const looking = setInterval(hint, lookMs)
      looking.unref()
      signal.addEventListener('abort', hurry, { once: true })
      hint()
      try {
        while (!signal.aborted) {
          const isHurried = await nextHint()
          if (signal.aborted) break
          const items = await pull(connection, durable, batch).catch((error: Failure) => {
            onFailure(error.message)
            return []
          })
          if (items.length === batch) hint()
          yield { items, hurried: isHurried }
        }
        yield { items: [], hurried: true }
      } finally {
        clearInterval(looking)
        signal.removeEventListener('abort', hurry)
      }
    },
  }
}

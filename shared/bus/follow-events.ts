import { type StoredEvent, storedEvent } from '../contracts/event.ts'
import type { Failure } from '../failure.ts'
import type { Log } from '../log.ts'
import { retrying } from '../retry.ts'
import { subjects } from '../subjects.ts'
import { failureOf } from './failure-of.ts'
import { unlessLost } from './lost-replies.ts'
import type { NatsConnection } from './nats.ts'
import { lastSequence, storedEvents } from './stored-events.ts'

/** Events read at once. */
const batch = 500

interface Followed {
  kind?: string
  id?: string
  /** Where to begin: with what comes, with all there is, or after a sequence. */
  after?: 'new' | 'all' | number
  /** Whether to end where there is no more now. */
  past?: boolean
}

interface FollowParts {
  connection: NatsConnection
  log: Log
  /** Called back when the server was away. */
  reconnected: Set<() => void>
}

/** Events as they are stored and republished, kept until they are taken. */
const liveEvents = (connection: NatsConnection, subject: string) => {
  const arrived: StoredEvent[] = []
  let broken: Failure | undefined
  let change = Promise.withResolvers<void>()
  const wake = (): void => {
    change.resolve()
    change = Promise.withResolvers()
  }
  const subscription = connection.subscribe(subject, {
    callback: (error, message) => {
      if (error) broken = failureOf(error, `cannot follow ${subject}`)
      else
        arrived.push(
          storedEvent(Number(message.headers?.get('Nats-Sequence')), message.subject, message.data),
        )
      wake()
    },
  })
  return {
    take: (): StoredEvent | undefined => {
      if (broken) throw broken
      return arrived.shift()
    },
    wake,
    changed: () => change.promise,
    end: () => subscription.unsubscribe(),
  }
}

/**
 * Follows events in order, across reconnects, until the signal or, if only the past is wanted, its end. What a
 * connection missed is read from the stream. A consumer would do all of that on the server, but whoever may make
 * consumers may have them deliver to any subject, also to those that act on hosts.
 */
export const followEvents = ({ connection, log, reconnected }: FollowParts) =>
  async function* (
    { kind = '*', id = '*', after = 'new', past = false }: Followed,
    signal: AbortSignal,
  ): AsyncGenerator<StoredEvent> {
    const subject = subjects.event(kind, id)
    const live = liveEvents(connection, subject)
    let behind = after !== 'new'
    const lag = () => {
      behind = true
      live.wake()
    }
    const patiently = <T>(act: () => Promise<T>): Promise<T> => {
      const attempt = () =>
        unlessLost(connection, act()).catch((error: unknown) => {
          throw failureOf(error, `cannot read ${subject}`)
        })
      return retrying(attempt, { signal, log })
    }
    reconnected.add(lag)
    signal.addEventListener('abort', live.wake, { once: true })
    try {
      // What is stored from here on arrives live.
      await connection.flush()
      let last = typeof after === 'number' ? after : 0
      if (after === 'new') last = await patiently(() => lastSequence(connection, subject))
      while (!signal.aborted) {
        if (behind) {
          behind = false
          const range = { subject, from: last + 1, batch }
          const missed = await patiently(() => storedEvents(connection, range))
          behind ||= (missed.at(-1)?.pending ?? 0) > 0
          for (const event of missed) {
            last = event.sequence
            yield event
          }
          continue
        }
        if (past) return
        const next = live.take()
        if (!next) await live.changed()
        else if (next.sequence > last) yield next
        last = Math.max(last, next?.sequence ?? 0)
      }
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      reconnected.delete(lag)
      live.end()
    }
  }

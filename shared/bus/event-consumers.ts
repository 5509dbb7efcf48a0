import { type StoredEvent, storedEvent } from '../contracts/event.ts'
import type { Log } from '../log.ts'
import { idOfEvent, subjects } from '../subjects.ts'
import { asked } from './jetstream.ts'
import { typeHeaderName } from './event-log.ts'
import { createPull } from './pull.ts'
import type { JsMsg, Msg, NatsConnection, Subscription } from './nats.ts'

/** An event without its body. */
export interface ToldEvent {
  sequence: number
  subject: string
  /** Absent in events that were written without it. */
  type: string | undefined
  messageId: string
}

/**
 * How long events wait for others, which cost little more when they are dealt with together: longer than a launch
 * takes, so that its beginning and its end are one write of the list, when its processors are free again.
 */
const gatherMs = 50

/** Fewer than the consumers let be unacknowledged: what may wait is not acknowledged for a moment. */
const mostTogether = 250

/** Of those that the client knows, the header by which a writer compares and sets. */
const expectedHeader = 'Nats-Expected-Last-Subject-Sequence'

const received = ({ seq, subject, data, headers }: JsMsg): StoredEvent => {
  const expected = headers?.get(expectedHeader)
  return { ...storedEvent(seq, subject, data), expected: expected ? Number(expected) : undefined }
}

/** Facts as they come: consumed once by whoever takes them, or hinted at. */
export const eventConsumers = (connection: NatsConnection, log: Log) => {
  const follow = (subject: string, see: (id: string, message: Msg) => void): void => {
    connection.subscribe(subject, {
      callback: (error, message) => {
        if (error) return log.error({ err: error, subject }, 'subscription ended')
        see(idOfEvent(message.subject), message)
      },
    })
  }
  const pullOf = (durable: string, signal: AbortSignal) =>
    createPull({
      connection,
      durable,
      batch: mostTogether,
      waitMs: gatherMs,
      signal,
      onFailure: (reason) => log.warn({ reason }, 'no events'),
    })

  const hearers = new Set<(type: string | undefined) => void>()
  let hearing: Subscription | undefined
  /** Hears what is stored now, each event in one of the processes that share the consumers. */
  const hear = (see: (type: string | undefined) => void, signal: AbortSignal): void => {
    if (signal.aborted) return
    hearers.add(see)
    const callback = (error: unknown, message: Msg): void => {
      if (error) return log.error({ err: error }, 'subscription ended')
      const type = message.headers?.get(typeHeaderName) || undefined
      for (const tell of hearers) tell(type)
    }
    hearing ??= connection.subscribe(subjects.events('container'), { queue: 'consumers', callback })
    const leave = (): void => {
      hearers.delete(see)
      if (hearers.size > 0) return
      // What is told from here on is for the others.
      hearing?.unsubscribe()
      hearing = undefined
    }
    signal.addEventListener('abort', leave, { once: true })
  }

  return {
    /**
     * Hands the events of a durable consumer to `handle`, those of a moment together; acknowledged when it resolves,
     * but for those that it answers, which it gets again with what comes next. `hurry` hands over at once what has come.
     */
    consumeEvents: (
      durable: string,
      handle: (events: StoredEvent[], hurried: boolean) => Promise<readonly StoredEvent[]>,
      signal: AbortSignal,
    ) => {
      const { take, hint, hurry } = pullOf(durable, signal)
      hear(hint, signal)
      const hand = async () => {
        let kept: JsMsg[] = []
        for await (const { items: came, hurried } of take()) {
          const items = [...kept, ...came]
          if (items.length === 0) continue
          const inOrder = items.toSorted((a, b) => a.seq - b.seq)
          const later = new Set(
            (await handle(inOrder.map(received), hurried)).map(({ sequence }) => sequence),
          )
          // Together, so that they leave in one write.
          for (const message of items) if (!later.has(message.seq)) message.ack()
          kept = items.filter((message) => later.has(message.seq))
          if (kept.length > 0) hint()
        }
      }
      return { hurry, ended: hand() }
    },

    /**
     * Hands each event of a durable consumer, without its body, to `handle`; what it answers is the delay until it is
     * delivered again. Those of the type are handed over in a moment, others in a while.
     */
    considerEvents: async (
      { durable, urgent }: { durable: string; urgent: string },
      handle: (event: ToldEvent, deliveries: number) => Promise<number | undefined>,
      signal: AbortSignal,
    ) => {
      const { take, hint } = pullOf(durable, signal)
      hear((type) => {
        if (type === undefined || type === urgent) hint()
      }, signal)
      const consider = async (message: JsMsg): Promise<void> => {
        const { seq: sequence, subject, headers } = message
        const type = headers?.get(typeHeaderName) || undefined
        const event = { sequence, subject, type, messageId: headers?.get('Nats-Msg-Id') ?? '' }
        const delayMs = await handle(event, message.info.redeliveryCount)
        // It is delivered again elsewhere.
        if (connection.isClosed()) return
        if (delayMs === undefined) return message.ack()
        message.nak(delayMs)
        setTimeout(hint, delayMs).unref()
      }
      for await (const { items } of take()) for (const message of items) void consider(message)
    },

    /** Whether a durable consumer has dealt with everything up to a sequence. Throws `Failure`. */
    hasConsumed: async (durable: string, sequence: number): Promise<boolean> => {
      const { num_pending, num_ack_pending, ack_floor } = await asked(connection, durable, (manager) =>
        manager.consumers.info('EVENTS', durable),
      )
      return ack_floor.stream_seq >= sequence || num_pending + num_ack_pending === 0
    },

    /** Every id that has events of this kind. Throws `Failure`. */
    idsOf: async (kind: string): Promise<string[]> => {
      const { state } = await asked(connection, `the ${kind}s of the log`, (manager) =>
        manager.streams.info('EVENTS', { subjects_filter: subjects.events(kind) }),
      )
      return Object.keys(state.subjects ?? {}).map(idOfEvent)
    },

    /** Sees events as they are stored, without a promise to see all: hints to look. */
    hints: (kind: string, see: (id: string, raw: string) => void): void =>
      follow(subjects.events(kind), (id, message) => see(id, message.string())),

    /** Tells every orchestrator to look at a container's log, without a promise that it is heard. */
    hintAt: (id: string): void => connection.publish(subjects.lookAt(id)),
    hintsToLook: (see: (id: string) => void): void => follow(subjects.lookAt('*'), see),
  }
}

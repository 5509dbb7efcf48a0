import { type StoredEvent, storedEvent } from '../contracts/event.ts'
import type { Log } from '../log.ts'
import { idOfEvent, subjects } from '../subjects.ts'
import { consume } from './consume.ts'
import { gather } from './gather.ts'
import { asked } from './jetstream.ts'
import { typeHeaderName } from './event-log.ts'
import type { JsMsg, Msg, NatsConnection } from './nats.ts'

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

/** Of those that the client knows, the header by which a writer compares and sets. */
const expectedHeader = 'Nats-Expected-Last-Subject-Sequence'

const received = ({ seq, subject, data, headers }: JsMsg): StoredEvent => {
  const expected = headers?.get(expectedHeader)
  return { ...storedEvent(seq, subject, data), expected: expected ? Number(expected) : undefined }
}

/** Facts as they come: consumed once by whoever takes them, or hinted at. */
export const eventConsumers = (connection: NatsConnection, log: Log) => {
  const hear = (subject: string, see: (id: string, message: Msg) => void): void => {
    connection.subscribe(subject, {
      callback: (error, message) => {
        if (error) return log.error({ err: error, subject }, 'subscription ended')
        see(idOfEvent(message.subject), message)
      },
    })
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
      const batches = gather<JsMsg>(gatherMs)
      const receive = async () => {
        for await (const message of consume(connection, 'EVENTS', durable, signal)) batches.add(message)
      }
      const hand = async () => {
        for await (const { items, hurried } of batches.take()) {
          const inOrder = items.toSorted((a, b) => a.seq - b.seq)
          const later = new Set(
            (await handle(inOrder.map(received), hurried)).map(({ sequence }) => sequence),
          )
          // Together, so that they leave in one write.
          for (const message of items) if (!later.has(message.seq)) message.ack()
          for (const message of items) if (later.has(message.seq)) batches.add(message)
        }
      }
      return { hurry: batches.hurry, ended: Promise.all([receive().finally(batches.end), hand()]) }
    },

    /**
     * Hands each event of a durable consumer, without its body, to `handle` at once; what it answers is the delay
     * until it is delivered again.
     */
    considerEvents: async (
      durable: string,
      handle: (event: ToldEvent, deliveries: number) => Promise<number | undefined>,
      signal: AbortSignal,
    ) => {
      const done = gather<JsMsg>(gatherMs)
      const acknowledge = async () => {
        for await (const { items } of done.take()) for (const message of items) message.ack()
      }
      const consider = async () => {
        for await (const message of consume(connection, 'EVENTS', durable, signal)) {
          const { seq: sequence, subject, headers } = message
          const event = {
            sequence,
            subject,
            type: headers?.get(typeHeaderName) || undefined,
            messageId: headers?.get('Nats-Msg-Id') ?? '',
          }
          void handle(event, message.info.redeliveryCount).then((delayMs) =>
            delayMs === undefined ? done.add(message) : message.nak(delayMs),
          )
        }
      }
      await Promise.all([consider().finally(done.end), acknowledge()])
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
      hear(subjects.events(kind), (id, message) => see(id, message.string())),

    /** Tells every orchestrator to look at a container's log, without a promise that it is heard. */
    hintAt: (id: string): void => connection.publish(subjects.lookAt(id)),
    hintsToLook: (see: (id: string) => void): void => hear(subjects.lookAt('*'), see),
  }
}

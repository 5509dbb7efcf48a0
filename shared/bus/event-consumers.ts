import { type StoredEvent, storedEvent } from '../contracts/event.ts'
import type { Log } from '../log.ts'
import { idOfEvent, subjects } from '../subjects.ts'
import { consume, stopWith } from './consume.ts'
import { DeliverPolicy, type NatsConnection } from './nats.ts'

interface Followed {
  kind?: string
  id?: string
  /** Where to begin: with what comes, with all there is, or after a sequence. */
  after?: 'new' | 'all' | number
}

/** Facts as they come: followed, consumed once by whoever takes them, or hinted at. */
export const eventConsumers = (connection: NatsConnection, log: Log) => ({
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

  /** Whether a durable consumer has dealt with everything up to a sequence. */
  hasConsumed: async (durable: string, sequence: number): Promise<boolean> => {
    const manager = await connection.jetstreamManager({ checkAPI: false })
    const { num_pending, num_ack_pending, ack_floor } = await manager.consumers.info('EVENTS', durable)
    return ack_floor.stream_seq >= sequence || num_pending + num_ack_pending === 0
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
})

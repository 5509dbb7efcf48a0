import { type StoredEvent, storedEvent } from '../contracts/event.ts'
import type { Log } from '../log.ts'
import { idOfEvent, subjects } from '../subjects.ts'
import { consume } from './consume.ts'
import type { NatsConnection } from './nats.ts'

/** Facts as they come: consumed once by whoever takes them, or hinted at. */
export const eventConsumers = (connection: NatsConnection, log: Log) => ({
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

import type * as Checkpoint from '../contracts/checkpoint.ts'
import { type NewEvent, type StoredEvent, cloudEvent } from '../contracts/event.ts'
import type { Log } from '../log.ts'
import { retrying } from '../retry.ts'
import { subjects } from '../subjects.ts'
import { encode } from '../wire.ts'
import { failureOf } from './failure-of.ts'
import { unlessLost } from './lost-replies.ts'
import { asked, jetstream } from './jetstream.ts'
import { type NatsConnection, headers } from './nats.ts'
import { storedEvents } from './stored-events.ts'

const maxJournalRecords = 10_000

/** The event's type for readers that are not sent its body; named as in the NATS binding of CloudEvents. */
export const typeHeaderName = 'ce-type'

let checkpoints: Promise<typeof Checkpoint> | undefined
/** When it is needed: a command line that reads no journal would take 15 ms for its schemas. Once: Node resolves each import anew. */
const loadCheckpoints = () => (checkpoints ??= import('../contracts/checkpoint.ts'))

const typeHeader = (type: string) => {
  const named = headers()
  named.set(typeHeaderName, type)
  return named
}

/** Facts: appended, and read by what they are about. */
export const eventLog = (connection: NatsConnection, source: string, log: Log) => {
  const closing = new AbortController()

  const append = async (event: NewEvent, expectedSequence?: number) => {
    const subject = subjects.event(event.kind, event.id)
    const expect = expectedSequence === undefined ? {} : { expect: { lastSubjectSequence: expectedSequence } }
    try {
      const options = { msgID: event.messageId, headers: typeHeader(event.type), ...expect }
      const published = jetstream(connection).publish(
        subjects.append(event.kind, event.id),
        encode(cloudEvent(event, source)),
        options,
      )
      const { seq, duplicate } = await unlessLost(connection, published)
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

    /** How full the log is, in bytes, and the sequences of its first and last record. Throws `Failure`. */
    logState: async () => {
      const { config, state } = await asked(connection, 'the state of the log', (manager) =>
        manager.streams.info('EVENTS'),
      )
      return {
        bytes: state.bytes,
        maxBytes: config.max_bytes,
        firstSequence: state.first_seq,
        lastSequence: state.last_seq,
      }
    },

    /** Every record of one id, oldest first; those before a checkpoint as that holds them. */
    journal: async (kind: string, id: string): Promise<StoredEvent[]> => {
      const subject = subjects.event(kind, id)
      const range = { subject, from: 1, batch: maxJournalRecords }
      const loading = loadCheckpoints()
      try {
        const stored = await unlessLost(connection, storedEvents(connection, range))
        return (await loading).expanded(stored)
      } catch (error) {
        throw failureOf(error, `cannot read ${subject}`)
      }
    },
  }
}

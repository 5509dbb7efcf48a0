import { type StoredEvent, storedEvent } from '../contracts/event.ts'
import { Failure } from '../failure.ts'
import { encode } from '../wire.ts'
import { type MsgHdrs, type NatsConnection, RequestStrategy } from './nats.ts'
import { patienceMs } from '../patience.ts'

const readWaitMs = 5000
const directGet = (stream: string): string => `$JS.API.DIRECT.GET.${stream}`

export interface EventRange {
  /** A subject, or a pattern of subjects. */
  subject: string
  /** The first sequence that counts. */
  from: number
  /** The most events at once. */
  batch: number
}

const numberIn = (meta: MsgHdrs | undefined, name: string): number => Number(meta?.get(name) || 0)

/** A message as a stream has it. */
export interface StoredMessage {
  sequence: number
  subject: string
  data: Uint8Array
  time: string
  messageId: string | undefined
  /** How many more of the range there are after it. */
  pending: number
}

/**
 * The first messages of a range of a stream, oldest first. Throws `Failure` (`unavailable`, `timeout`) and
 * whatever the client throws.
 */
export const storedMessages = async (
  connection: NatsConnection,
  stream: string,
  { subject, from, batch }: EventRange,
): Promise<StoredMessage[]> => {
  const found: StoredMessage[] = []
  const query = encode({ seq: from, batch, next_by_subj: subject })
  // The end has a status of its own: an empty message may be one that somebody has published.
  const options = { strategy: RequestStrategy.Timer, maxWait: patienceMs(readWaitMs) }
  for await (const { headers: meta, data } of await connection.requestMany(
    directGet(stream),
    query,
    options,
  )) {
    const code = meta?.code ?? 0
    if (code === 404 || code === 204) return found
    if (code >= 400) throw new Failure('unavailable', `${code} ${meta?.description}`)
    found.push({
      sequence: numberIn(meta, 'Nats-Sequence'),
      subject: meta?.get('Nats-Subject') ?? '',
      data,
      time: meta?.get('Nats-Time-Stamp') ?? '',
      messageId: meta?.get('Nats-Msg-Id') || undefined,
      pending: numberIn(meta, 'Nats-Num-Pending'),
    })
  }
  throw new Failure('timeout', 'the answer is incomplete')
}

/** The first events of a range, each with how many more there are. Throws as `storedMessages`. */
export const storedEvents = async (
  connection: NatsConnection,
  range: EventRange,
): Promise<(StoredEvent & { pending: number })[]> =>
  (await storedMessages(connection, 'EVENTS', range)).map(({ sequence, subject, data, pending }) => ({
    ...storedEvent(sequence, subject, data),
    pending,
  }))

/** The sequence of the last event of a subject or pattern, 0 when there is none. */
export const lastSequence = async (connection: NatsConnection, subject: string): Promise<number> => {
  const { headers: meta } = await connection.request(directGet('EVENTS'), encode({ last_by_subj: subject }), {
    timeout: patienceMs(readWaitMs),
  })
  return numberIn(meta, 'Nats-Sequence')
}

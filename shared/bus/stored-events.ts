import { type StoredEvent, storedEvent } from '../contracts/event.ts'
import { Failure } from '../failure.ts'
import { encode } from '../wire.ts'
import { type MsgHdrs, type NatsConnection, RequestStrategy } from './nats.ts'
import { patienceMs } from '../patience.ts'

const readWaitMs = 5000
const read = '$JS.API.DIRECT.GET.EVENTS'

export interface EventRange {
  /** A subject, or a pattern of subjects. */
  subject: string
  /** The first sequence that counts. */
  from: number
  /** The most events at once. */
  batch: number
}

const numberIn = (meta: MsgHdrs | undefined, name: string): number => Number(meta?.get(name) || 0)

/**
 * The first events of a range, oldest first, each with how many more there are. Throws `Failure`
 * (`unavailable`, `timeout`) and whatever the client throws.
 */
export const storedEvents = async (
  connection: NatsConnection,
  { subject, from, batch }: EventRange,
): Promise<(StoredEvent & { pending: number })[]> => {
  const found = []
  const query = encode({ seq: from, batch, next_by_subj: subject })
  const options = { strategy: RequestStrategy.SentinelMsg, maxWait: readWaitMs }
  for await (const { headers: meta, data } of await connection.requestMany(read, query, options)) {
    const code = meta?.code ?? 0
    if (code === 404 || code === 204) return found
    if (code >= 400) throw new Failure('unavailable', `${code} ${meta?.description}`)
    const event = storedEvent(numberIn(meta, 'Nats-Sequence'), meta?.get('Nats-Subject') ?? '', data)
    found.push({ ...event, pending: numberIn(meta, 'Nats-Num-Pending') })
  }
  throw new Failure('timeout', 'the answer is incomplete')
}

/** The sequence of the last event of a subject or pattern, 0 when there is none. */
export const lastSequence = async (connection: NatsConnection, subject: string): Promise<number> => {
  const { headers: meta } = await connection.request(read, encode({ last_by_subj: subject }), {
    timeout: patienceMs(readWaitMs),
  })
  return numberIn(meta, 'Nats-Sequence')
}

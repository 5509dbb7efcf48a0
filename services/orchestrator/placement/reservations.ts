import { z } from 'zod'
import type { Bus } from '../../../shared/bus.ts'

/** What is kept of a node for a container that the list does not show yet. */
const Reservation = z.object({
  node: z.string(),
  cpus: z.number(),
  memory: z.number(),
  /** Sequence of the command that asked for it. */
  command: z.number().int(),
})
export type Reservation = z.infer<typeof Reservation>

/**
 * The one key of the bucket: containers under way by id. `seen` is the revision of the `containers` bucket at
 * which the last ones were taken out, because the list shows them: whoever decides must have seen as much.
 */
const Reservations = z.object({ seen: z.number().int(), held: z.record(z.string(), Reservation) })
export type Reservations = z.infer<typeof Reservations>

const key = 'held'

/** The reservations of all orchestrators, written by compare-and-set. */
export const createReservations = async (bus: Bus) => {
  const bucket = await bus.bucket('reservations')
  let revision = 0
  let value: Reservations = { seen: 0, held: {} }

  const load = async (): Promise<void> => {
    const entry = await bucket.get(key)
    revision = entry?.revision ?? 0
    value =
      entry?.operation === 'PUT' ? Reservations.parse(JSON.parse(entry.string())) : { seen: 0, held: {} }
  }

  await load()
  return {
    /** As last read or written. */
    get value() {
      return value
    },
    load,
    /** Throws `Failure` (`stale`) when another orchestrator has written since. */
    write: async (next: Reservations): Promise<void> => {
      revision = await bucket.put(key, JSON.stringify(next), { previousSeq: revision })
      value = next
    },
  }
}

export type ReservationBook = Awaited<ReturnType<typeof createReservations>>

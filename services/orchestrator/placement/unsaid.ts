import type { Reservation } from './reservations.ts'
import type { Settlement } from './settlement.ts'

/**
 * What this process has given without a word to the others: one node alone that is far from its limits needs
 * none, and a launch waits for one write of the bus less. Counted here until the list shows the container.
 */
export const createUnsaid = (settlement: Settlement) => {
  const given = new Map<string, Reservation>()

  const forget = (ids: readonly string[]): void => {
    for (const id of ids) given.delete(id)
    settlement.forget(ids)
  }

  return {
    get: (id: string): Reservation | undefined => given.get(id),
    /** By the container's id. */
    entries: (): Iterable<[string, Reservation]> => given.entries(),
    add: (id: string, reservation: Reservation): void => void given.set(id, reservation),
    /** Forgets what the list shows. */
    tidy: (): void =>
      forget([...given].filter(([id, held]) => settlement.isSettled(id, held)).map(([id]) => id)),
    /** The launch of the container is over, and the list may never show it. */
    drop: (id: string): void => {
      if (given.has(id)) forget([id])
    },
  }
}

export type Unsaid = ReturnType<typeof createUnsaid>

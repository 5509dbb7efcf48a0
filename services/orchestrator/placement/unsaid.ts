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

  const tidy = (): void =>
    forget([...given].filter(([id, held]) => settlement.isSettled(id, held)).map(([id]) => id))

  return {
    get: (id: string): Reservation | undefined => given.get(id),
    /** By the container's id. */
    entries: (): Iterable<[string, Reservation]> => given.entries(),
    add: (id: string, reservation: Reservation): void => void given.set(id, reservation),
    /** Forgets what the list shows. */
    tidy,
    /** Asks the log about all that is given, the book's too. */
    verify: async (held: Record<string, Reservation>): Promise<void> => {
      await settlement.verify({ ...held, ...Object.fromEntries(given) })
      tidy()
    },
    /** The launch of the container is over; unless it lives the list may never show it. */
    end: (id: string, came: 'living' | 'gone' | 'unknown'): void => {
      if (came === 'living') tidy()
      else if (given.has(id)) forget([id])
    },
  }
}

export type Unsaid = ReturnType<typeof createUnsaid>

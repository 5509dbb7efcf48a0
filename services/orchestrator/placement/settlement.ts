import type { Bus } from '../../../shared/bus.ts'
import { Failure } from '../../../shared/failure.ts'
import { readContainer } from '../container-log.ts'
import { isGone } from '../container-runs.ts'
import type { Projection } from '../projection.ts'
import type { Reservation, Reservations } from './reservations.ts'

interface SettlementParts {
  bus: Bus
  projection: Projection
  /** How long an orchestrator may take from a reservation to the saga's first record, in milliseconds. */
  staleMs: number
}

type Came = 'living' | 'gone' | 'unknown'

/** The log is asked about a reservation that neither this process nor the list knows of after this time. */
const doubtMs = 1000

/**
 * Which reservations have done their part: a container that the list shows is counted there, one that is gone
 * takes nothing. Ages are by this process's clock, since it first saw the reservation.
 */
export const createSettlement = ({ bus, projection, staleMs }: SettlementParts) => {
  /** Launches that this process has in hand, and what came of those that have ended. */
  const own = new Map<string, { command: number; came: Came | undefined }>()
  const firstSeen = new Map<string, { command: number; at: number }>()
  /** Reservations whose container is gone by the log. */
  const over = new Map<string, number>()

  const ownOf = (id: string, { command }: Reservation) => {
    const launch = own.get(id)
    return launch?.command === command ? launch : undefined
  }

  const isLaunching = (id: string, held: Reservation): boolean => {
    const launch = ownOf(id, held)
    if (launch) return launch.came === undefined
    const shown = projection.get(id)
    return shown === undefined || shown.status === 'creating'
  }

  const isSettled = (id: string, held: Reservation): boolean => {
    if (over.get(id) === held.command) return true
    const launch = ownOf(id, held)
    if (launch)
      return launch.came === 'gone' || (launch.came === 'living' && projection.get(id) !== undefined)
    const status = projection.get(id)?.status
    return status !== undefined && status !== 'creating' && status !== 'deleting'
  }

  const ageOf = (id: string, { command }: Reservation): number => {
    const seen = firstSeen.get(id)
    if (seen?.command === command) return performance.now() - seen.at
    firstSeen.set(id, { command, at: performance.now() })
    return 0
  }

  /** Whether the log knows nothing of the container any more, or never will. */
  const isOver = async (id: string, age: number): Promise<boolean> => {
    const { saga } = await readContainer(bus, id)
    return saga ? isGone(saga) : age > staleMs
  }

  const forget = (ids: Iterable<string>): void => {
    for (const id of ids) for (const map of [own, firstSeen, over]) map.delete(id)
  }

  /** Of what another orchestrator has taken out of the book, all but launches in hand. */
  const forgetBut = (held: Reservations['held']): void =>
    forget(
      [...own.keys(), ...firstSeen.keys(), ...over.keys()].filter((id) => {
        const launch = own.get(id)
        return !(id in held) && !(launch && launch.came === undefined)
      }),
    )

  return {
    isLaunching,
    isSettled,
    begin: (id: string, { command }: Reservation): void => {
      own.set(id, { command, came: undefined })
      over.delete(id)
      firstSeen.set(id, { command, at: performance.now() })
    },
    /** Reserved for a create that no longer waits here. */
    leave: (id: string, { command }: Reservation): void => void over.set(id, command),
    end: (id: string, came: Came): void => {
      const launch = own.get(id)
      if (came === 'unknown') own.delete(id)
      else if (launch) launch.came = came
    },
    /** By the log nothing is left of the container, whose launch has ended here. */
    gone: (id: string): void => {
      const launch = own.get(id)
      if (launch?.came === 'living') launch.came = 'gone'
    },
    /** Whether this process has had the place for so long that others may have given it up. */
    isStale: (id: string): boolean => performance.now() - (firstSeen.get(id)?.at ?? -Infinity) > staleMs / 2,
    settled: (held: Reservations['held']): string[] =>
      Object.entries(held).flatMap(([id, reservation]) => (isSettled(id, reservation) ? id : [])),
    forget,
    /** Asks the log about all reservations that nobody else explains, and forgets what is none; answers whether one is over. */
    verify: async (held: Reservations['held']): Promise<boolean> => {
      forgetBut(held)
      let found = false
      for (const [id, reservation] of Object.entries(held)) {
        const launch = ownOf(id, reservation)
        const age = ageOf(id, reservation)
        if ((launch && launch.came === undefined) || age < doubtMs || isSettled(id, reservation)) continue
        try {
          if (!(await isOver(id, age))) continue
        } catch (error) {
          if (!(error instanceof Failure)) throw error
          continue // the bus is away, or its log cannot be read: it stays reserved
        }
        over.set(id, reservation.command)
        found = true
      }
      return found
    },
  }
}

export type Settlement = ReturnType<typeof createSettlement>

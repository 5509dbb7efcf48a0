import { Failure } from '../../../shared/failure.ts'
import type { Log } from '../../../shared/log.ts'
import { Lost } from '../saga/ledger.ts'
import type { Projection } from '../projection.ts'
import { type Assignment, createAssigner } from './assign.ts'
import type { Candidate } from './choose.ts'
import type { Fleet } from './fleet.ts'
import type { Request } from './request.ts'
import type { Reservation, ReservationBook } from './reservations.ts'
import type { Settlement } from './settlement.ts'
import { createTurns } from './turns.ts'
import { createUnsaid } from './unsaid.ts'

interface PlacementParts {
  fleet: Fleet
  book: ReservationBook
  settlement: Settlement
  projection: Projection
  maxLaunches: number
  log: Log
  signal: AbortSignal
}

/** A node that is the request's until the launch has ended. */
export interface Place {
  node: string
}

interface Waiter {
  request: Request
  /** Whether its container's log has been looked at: else want of room ends the wait. */
  patient: boolean
  reason?: string
  resolve: (place: Place | 'look') => void
  reject: (error: unknown) => void
}

/** Nothing tells of a heartbeat that does not come, nor of a container that another orchestrator gave up. */
const lookMs = 1000

const noCapacity = ({ id, amount }: Request, reason: string, nodes: readonly Candidate[]): Failure => {
  const details = {
    asked: amount,
    nodes: nodes.map(({ name, capacity, use }) => ({ node: name, limit: capacity, use })),
  }
  return new Failure('no_capacity', `cannot place container ${id}: ${reason}`, { details })
}

/** What the book does not have yet. */
const newOf = (assignments: readonly [Request, Assignment][]): [Request, Reservation][] =>
  assignments.flatMap(([request, made]) =>
    'granted' in made && !made.known && !made.unsaid ? [[request, made.granted]] : [],
  )

/** Puts into the book what is granted, and takes out what has done its part. */
const createBookkeeping = ({
  book,
  settlement,
  projection,
}: Pick<PlacementParts, 'book' | 'settlement' | 'projection'>) => {
  /** Whether there is something to take out though nothing new is reserved. */
  let tidying = false
  return {
    look: (): boolean => (tidying = settlement.settled(book.value.held).length > 0),
    reserve: async (granted: [Request, Reservation][]): Promise<void> => {
      const settled = settlement.settled(book.value.held)
      if (granted.length === 0 && !(tidying && settled.length > 0)) return
      const kept = Object.entries(book.value.held).filter(([id]) => !settled.includes(id))
      const added = granted.map(([{ id }, reservation]) => [id, reservation] as const)
      const seen = settled.length > 0 ? Math.max(book.value.seen, projection.revision()) : book.value.seen
      await book.write({ seen, held: Object.fromEntries([...kept, ...added]) })
      tidying = false
      settlement.forget(settled)
    },
  }
}

/**
 * Chooses nodes for creates and reserves room on them, for all creates that are at hand with one write; what finds
 * no room waits in the order of the work queue.
 */
export const createPlacement = (parts: PlacementParts) => {
  const { book, settlement, projection, log, signal } = parts
  const unsaid = createUnsaid(settlement)
  const assigner = createAssigner({ ...parts, unsaid })
  const keeping = createBookkeeping(parts)
  /** By the sequence of the command. */
  const waiters = new Map<number, Waiter>()
  const answer = (waiter: Waiter, assignment: Assignment): void => {
    const { request, patient } = waiter
    if ('turn' in assignment && (patient || !assignment.sameId)) {
      waiter.reason = assignment.turn
      return
    }
    if ('lacking' in assignment && patient && request.wait) {
      waiter.reason = assignment.lacking
      return
    }
    waiters.delete(request.command)
    if ('granted' in assignment) {
      settlement.begin(request.id, assignment.granted)
      if (assignment.unsaid) unsaid.add(request.id, assignment.granted)
      waiter.resolve({ node: assignment.granted.node })
    } else if (patient && 'lacking' in assignment)
      waiter.reject(noCapacity(request, assignment.lacking, assignment.nodes))
    else waiter.resolve('look')
  }

  const round = async (): Promise<void> => {
    // What another orchestrator took out of the book must be in the list before anything is counted.
    if (projection.revision() < book.value.seen && !(await projection.reaches(book.value.seen))) return
    const assignments = [...assigner.assign([...waiters.values()].map(({ request }) => request))]
    await keeping.reserve(newOf(assignments))
    for (const [request, assignment] of assignments) {
      const waiter = waiters.get(request.command)
      if (waiter?.request === request) answer(waiter, assignment)
      // It went to look at its log meanwhile, and will ask again.
      else if ('granted' in assignment && !assignment.unsaid) settlement.leave(request.id, assignment.granted)
    }
  }

  const attempt = async (): Promise<void> => {
    try {
      await round()
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      if (error.code !== 'stale') log.warn({ reason: error.message }, 'placement postponed')
      // It may have been written, or by another: the bucket knows.
      await book.load().then(turns.take, (reason: unknown) => {
        if (!(reason instanceof Failure)) throw reason // the bus is away: the next look tells more
      })
    }
  }
  const turns = createTurns(attempt)

  const look = async (): Promise<void> => {
    await unsaid.verify(book.value.held)
    if (keeping.look() || waiters.size > 0) turns.take()
  }
  const looking = setInterval(() => void look(), lookMs)
  looking.unref()

  const release = (): void => {
    clearInterval(looking)
    for (const { reject } of waiters.values()) reject(new Lost('the orchestrator is stopping'))
    waiters.clear()
  }
  signal.addEventListener('abort', release, { once: true })
  projection.onChange(() => {
    unsaid.tidy()
    if (waiters.size > 0) turns.take()
  })

  return {
    /**
     * A node for a request; waits for its turn, and if it is `patient` for room, but for `wait: false`. Answers
     * `look` when the container's log shall be looked at first. Throws `Failure` (`no_capacity`) and `Lost`.
     */
    place: (request: Request, { patient }: { patient: boolean }): Promise<Place | 'look'> => {
      const { promise, resolve, reject } = Promise.withResolvers<Place | 'look'>()
      if (signal.aborted) reject(new Lost('the orchestrator is stopping'))
      else waiters.set(request.command, { request, patient, resolve, reject })
      turns.take()
      return promise
    },
    /** The launch is over: its place is the container's, or free when nothing is there. */
    end: (id: string, came: 'living' | 'gone' | 'unknown'): void => {
      settlement.end(id, came)
      unsaid.end(id, came)
      if (waiters.size > 0) turns.take()
    },
    /** The log says that the container is gone, which the list may never have shown. */
    gone: (id: string): void => {
      settlement.gone(id)
      unsaid.tidy()
    },
    /** Somebody wrote to the container's log: its create, if it waits here, looks at it. */
    refresh: (id: string): void => {
      for (const [command, { request, resolve }] of waiters) {
        if (request.id !== id) continue
        waiters.delete(command)
        resolve('look')
      }
    },
    /** Tells, as things are now, why a create waits, whoever has it in hand; undefined when it does not. */
    waits: async (): Promise<(request: Request) => string | undefined> => {
      // Others reserve too.
      await book.load()
      const explain = assigner.explainer()
      return (request) => waiters.get(request.command)?.reason ?? explain(request)
    },
  }
}

export type Placement = ReturnType<typeof createPlacement>

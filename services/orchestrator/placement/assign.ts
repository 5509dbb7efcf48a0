import type { Projection } from '../projection.ts'
import { type Candidate, choose, couldHold, take } from './choose.ts'
import type { Fleet } from './fleet.ts'
import type { Request } from './request.ts'
import type { Reservation, ReservationBook } from './reservations.ts'
import type { Settlement } from './settlement.ts'
import type { Unsaid } from './unsaid.ts'

interface AssignParts {
  fleet: Fleet
  book: ReservationBook
  unsaid: Pick<Unsaid, 'get' | 'entries'>
  settlement: Settlement
  projection: Projection
  maxLaunches: number
}

/** What came of a request. */
export type Assignment =
  /**
   * `known` when it has had it before: reserved by an orchestrator that died before the saga had begun. `unsaid`
   * when others need not know of it before the list shows the container.
   */
  | { granted: Reservation; known?: true; unsaid?: boolean }
  /** There is room, and it waits for its turn; `sameId` when another create of the id has the place. */
  | { turn: string; sameId?: true }
  | { lacking: string; nodes: readonly Candidate[] }

/** Counts what is taken of each node, and gives nodes to requests. */
export const createAssigner = ({ fleet, book, unsaid, settlement, projection, maxLaunches }: AssignParts) => {
  const candidates = (): Candidate[] => {
    const all = fleet.candidates()
    const byName = new Map(all.map((one) => [one.name, one]))
    for (const [id, held] of [...Object.entries(book.value.held), ...unsaid.entries()]) {
      const node = byName.get(held.node)
      if (!node || settlement.isSettled(id, held)) continue
      // What the list shows of it is counted already.
      if (projection.get(id)?.node !== held.node)
        take(node, { cpus: held.cpus, memory: held.memory, containers: 1 })
      if (settlement.isLaunching(id, held)) node.launching += 1
    }
    return all
  }

  const heldBy = ({ id }: Request): Reservation | undefined => book.value.held[id] ?? unsaid.get(id)

  /**
   * On one node that is far from its limits, whatever three other orchestrators give at the same time: a word
   * to them is a write of the bus that the launch would wait for.
   */
  const needsNoWord = ({ amount }: Request, node: Candidate, all: readonly Candidate[]): boolean =>
    all.length === 1 &&
    amount.cpus === 0 &&
    amount.memory === 0 &&
    node.launching < maxLaunches / 4 &&
    node.use.containers < node.capacity.containers / 2

  const assignOne = (request: Request, all: readonly Candidate[]): Assignment => {
    const held = heldBy(request)
    if (held && !settlement.isSettled(request.id, held)) {
      if (held.command === request.command) return { granted: held, known: true }
      return { turn: `another create of ${request.id} is under way`, sameId: true }
    }
    const chosen = choose(request, all, maxLaunches)
    if ('reason' in chosen) {
      const awaited = request.wait ? chosen.nodes.filter(({ node }) => couldHold(request, node)) : []
      for (const { node, lacks } of awaited) for (const one of lacks) node.claimed.add(one)
      return { lacking: chosen.reason, nodes: chosen.nodes.map(({ node }) => node) }
    }
    if ('busy' in chosen) return { turn: `${chosen.busy.name} makes ${maxLaunches} containers at a time` }
    const { cpus, memory } = request.amount
    const noWord = needsNoWord(request, chosen.node, all)
    take(chosen.node, request.amount)
    chosen.node.launching += 1
    return { granted: { node: chosen.node.name, cpus, memory, command: request.command }, unsaid: noWord }
  }

  return {
    /** What comes of each request, first come first served; ends where all that follow wait for their turn. */
    assign: (requests: readonly Request[]): Map<Request, Assignment> => {
      const all = candidates()
      const made = new Map<Request, Assignment>()
      const ids = new Set<string>()
      for (const request of requests.toSorted((a, b) => a.command - b.command)) {
        const assignment = ids.has(request.id)
          ? { turn: `another create of ${request.id} is under way` }
          : assignOne(request, all)
        made.set(request, assignment)
        ids.add(request.id)
        if ('turn' in assignment && all.every(({ launching }) => launching >= maxLaunches)) break
      }
      return made
    },
    /** Tells, as things are now, why a request that is not in hand here waits; undefined when it does not. */
    explainer: () => {
      const all = candidates()
      return (request: Request): string | undefined => {
        if (heldBy(request)?.command === request.command) return undefined
        const chosen = choose(request, all, maxLaunches)
        if ('reason' in chosen) return chosen.reason
        const node = 'busy' in chosen ? chosen.busy : chosen.node
        return `${node.name} makes ${maxLaunches} containers at a time`
      }
    },
  }
}

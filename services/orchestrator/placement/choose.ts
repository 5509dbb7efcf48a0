import type { NodeRecord } from '../../../shared/contracts/node.ts'
import { matches, textOf } from './constraints.ts'
import { type Amount, type Dimension, type Request, dimensions } from './request.ts'

/** A node that may be given containers, with what is taken of it. */
export interface Candidate extends Pick<NodeRecord, 'name' | 'labels' | 'features' | 'images'> {
  capacity: Amount
  use: Amount
  /** Launches under way. */
  launching: number
  /** What earlier creates wait for here: later ones do not take it from them. */
  claimed: Set<Dimension>
}

export type Choice =
  | { node: Candidate }
  /** There is room, and its node is making as many containers as it makes at a time. */
  | { busy: Candidate }
  /** There is none; `nodes` are those where it waits for some. */
  | { reason: string; nodes: { node: Candidate; lacks: Dimension[] }[] }

const text = (dimension: Dimension, amount: number): string => {
  if (dimension !== 'memory') return String(Math.round(amount * 100) / 100)
  return amount >= 2 ** 30
    ? `${Math.round((amount / 2 ** 30) * 10) / 10}G`
    : `${Math.round(amount / 2 ** 20)}M`
}

/** Sums of fractions of processors are not exact. */
const slack = 1e-9

const lacksOf = ({ amount }: Request, { capacity, use }: Candidate): Dimension[] =>
  dimensions.filter((one) => amount[one] > 0 && use[one] + amount[one] > capacity[one] + slack)

/** Whether the node could hold it with nothing else: waiting for room there may come to an end. */
export const couldHold = ({ amount }: Request, { capacity }: Candidate): boolean =>
  dimensions.every((one) => amount[one] <= capacity[one] + slack)

const shortage = ({ amount }: Request, { name, capacity, use }: Candidate, lacks: Dimension[]): string =>
  lacks.length === 0
    ? `${name}: others wait for it`
    : `${name}: ${lacks.map((one) => `${one} ${text(one, amount[one])} asked, ${text(one, use[one])} of ${text(one, capacity[one])} taken`).join(', ')}`

const suits = ({ node, constraints, quota }: Request, candidate: Candidate): boolean =>
  (node === undefined || node === candidate.name) &&
  !(quota && candidate.features['quotas'] === false) &&
  constraints.every((constraint) => matches(constraint, candidate))

const unsuited = ({ node, constraints, quota }: Request): string => {
  const wanted = [
    ...(node === undefined ? [] : [`is called ${node}`]),
    ...constraints.map((one) => `has ${textOf(one)}`),
    ...(quota ? ['limits what a container adds to its image'] : []),
  ]
  return `no node that is ready ${wanted.join(' and ')}`
}

const fullness = ({ capacity, use }: Candidate): number =>
  Math.max(...dimensions.map((one) => (capacity[one] > 0 ? use[one] / capacity[one] : 0)))

const order = (strategy: Request['strategy']) => (a: Candidate, b: Candidate) =>
  strategy === 'binpack'
    ? fullness(b) - fullness(a)
    : a.use.containers - b.use.containers || fullness(a) - fullness(b)

/** The node for a container: of those with room those that have its image, of these the emptiest or the fullest. */
export const choose = (request: Request, candidates: readonly Candidate[], mostLaunches: number): Choice => {
  const suited = candidates.filter((candidate) => suits(request, candidate))
  if (suited.length === 0) return { reason: unsuited(request), nodes: [] }
  const looked = suited.map((node) => ({ node, lacks: lacksOf(request, node) }))
  const roomy = looked
    .filter(
      ({ node, lacks }) =>
        lacks.length === 0 && !dimensions.some((one) => node.claimed.has(one) && request.amount[one] > 0),
    )
    .map(({ node }) => node)
  if (roomy.length === 0) {
    const reasons = looked.map(({ node, lacks }) => shortage(request, node, lacks))
    return { reason: `no node has room (${reasons.join('; ')})`, nodes: looked }
  }
  const stocked = roomy.filter(({ images }) => images.includes(request.image))
  const [best, ...others] = (stocked.length > 0 ? stocked : roomy).toSorted(order(request.strategy))
  if (!best) throw new Error('nothing to choose from')
  // Others may be taken as well only if the balance stays.
  const alike = others.filter(
    ({ use }) => request.strategy === 'spread' && use.containers === best.use.containers,
  )
  const free = [best, ...alike].find(({ launching }) => launching < mostLaunches)
  return free ? { node: free } : { busy: best }
}

/** Counts a request to a node. */
export const take = ({ use }: Candidate, amount: Amount): void => {
  for (const one of dimensions) use[one] += amount[one]
}

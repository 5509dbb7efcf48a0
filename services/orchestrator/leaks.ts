import type { Bus } from '../../shared/bus.ts'
import type { ContainerSpec } from '../../shared/contracts/container-spec.ts'
import { ContainerId } from '../../shared/contracts/identity.ts'
import * as host from '../../shared/contracts/operations.ts'
import { everyObject } from '../../shared/object-pages.ts'
import { foldContainer } from './container-log.ts'
import { isGone } from './container-runs.ts'
import { nameLeases } from './name-step.ts'
import { faultOf, lastKnown } from './parked.ts'
import type { Projection } from './projection.ts'
import type { Reach } from './reach.ts'

/** What the log says of a container that a host has objects of. */
export type Ownership =
  | 'living'
  /** Undone, as the log says: what is there was left by mistake. */
  | 'gone'
  /** An operator's word left something of it on the host. */
  | 'abandoned'
  | 'unknown'
  | 'unreadable'

export interface Explanation {
  ownership: Ownership
  /** Last sequence of the log that says so: nothing decided on it may undo what comes later. */
  sequence: number
  /** When that was written, in milliseconds since the epoch. */
  changedAt: number
  /** What the container was, as far as the log knows. */
  spec?: ContainerSpec | undefined
}

/** What the log says of the container that an object on a host names. */
export const explain = async (bus: Bus, id: string): Promise<Explanation> => {
  // Anyone with a file manager can make an object of any name; a subject takes only ids.
  if (!ContainerId.safeParse(id).success) return { ownership: 'unknown', sequence: 0, changedAt: 0 }
  const events = await bus.journal('container', id)
  const sequence = events.at(-1)?.sequence ?? 0
  try {
    const { saga, container, abandoned, changedAt } = foldContainer(events)
    const known = { sequence, changedAt, spec: container?.spec }
    if (!saga && abandoned) return { ...known, ownership: 'abandoned', spec: lastKnown(events)?.spec }
    if (!saga) return { ownership: 'unknown', ...known }
    if (!isGone(saga)) return { ownership: 'living', ...known }
    const left = Object.values(saga.steps).some(({ status }) => status === 'skipped')
    return { ownership: left || saga.outcome === 'aborted' ? 'abandoned' : 'gone', ...known }
  } catch (error) {
    if (faultOf(error) === undefined) throw error
    return { ownership: 'unreadable', sequence, changedAt: 0, spec: lastKnown(events)?.spec }
  }
}

interface LeakParts {
  bus: Bus
  projection: Projection
  reach: Reach
}

/** Every object that a host's services list under the stack's names. */
export const listObjects = async (reach: Reach, node: string): Promise<host.Leak[]> => {
  const found = await Promise.all(
    Object.values(host.objects).map((operation) => everyObject((page) => reach.ask(node, operation, page))),
  )
  return found.flat()
}

const keyOf = ({ kind, name }: host.Leak): string => `${kind}\0${name}`

/**
 * Every object of a host, and every name, that no living container owns, with what the log says of its container.
 * `before` is what the host had a moment ago, for whoever has just listed it.
 */
export const findLeaks = async (
  { bus, projection, reach }: LeakParts,
  node: string,
  before?: readonly host.Leak[],
) => {
  const living = new Set(projection.list().map(({ id }) => id))
  const listed = async (objects?: readonly host.Leak[]) => [
    ...(objects ?? (await listObjects(reach, node))),
    ...(await nameLeases(bus)),
  ]
  const suspects = (await listed(before)).filter(
    ({ container }) => container !== null && !living.has(container),
  )
  if (suspects.length === 0) return []
  const explanations = new Map<string, Explanation>()
  for (const { container } of suspects) {
    if (container !== null && !explanations.has(container))
      explanations.set(container, await explain(bus, container))
  }
  // A container that was just being deleted had objects in the first listing and is gone by its log.
  const still = new Set((await listed()).map(keyOf))
  return suspects.flatMap((object) => {
    const explanation = explanations.get(object.container ?? '')
    if (!explanation || explanation.ownership === 'living' || !still.has(keyOf(object))) return []
    // A name is on no host: it counts where its container was, as far as the log knows.
    const elsewhere = object.kind === 'name' && (explanation.spec?.node ?? node) !== node
    return elsewhere ? [] : [{ ...object, ...explanation }]
  })
}

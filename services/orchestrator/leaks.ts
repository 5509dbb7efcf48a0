import type { Bus } from '../../shared/bus.ts'
import * as host from '../../shared/contracts/operations.ts'
import { Failure } from '../../shared/failure.ts'
import { readContainer } from './container-log.ts'
import type { Projection } from './projection.ts'
import type { Reach } from './reach.ts'

/** What the log says of a container that a host has objects of. */
export type Ownership = 'living' | 'gone' | 'abandoned' | 'unknown' | 'unreadable'

/** Who owns the objects of a container. */
export const ownershipOf = async (bus: Bus, id: string): Promise<Ownership> => {
  try {
    const { container, saga } = await readContainer(bus, id)
    if (!container) return 'unknown'
    const ended =
      saga?.outcome !== 'aborted' && (container.status === 'deleted' || container.status === 'failed')
    return ended || saga?.outcome === 'aborted' ? 'gone' : 'living'
  } catch (error) {
    if (error instanceof Failure && error.code === 'invalid_message') return 'unreadable'
    throw error
  }
}

interface LeakParts {
  bus: Bus
  projection: Projection
  reach: Reach
}

/** Every object of a host that no living container owns, with what the log says of its container. */
export const findLeaks = async ({ bus, projection, reach }: LeakParts, node: string) => {
  const found = await Promise.all(
    Object.values(host.objects).map((operation) => reach.ask(node, operation, {})),
  )
  const living = new Set(projection.list().map(({ id }) => id))
  const suspects = found
    .flatMap(({ objects }) => objects)
    .filter(({ container }) => container !== null && !living.has(container))
  const owners = new Map<string, Ownership>()
  for (const { container } of suspects) {
    if (container !== null && !owners.has(container)) owners.set(container, await ownershipOf(bus, container))
  }
  return suspects
    .map((object) => ({ ...object, ownership: owners.get(object.container ?? '') ?? ('unknown' as const) }))
    .filter(({ ownership }) => ownership !== 'living')
}

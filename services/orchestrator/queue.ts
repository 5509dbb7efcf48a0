import type { Bus } from '../../shared/bus.ts'
import { ContainerCreate } from '../../shared/contracts/container-create.ts'
import type { Container } from '../../shared/contracts/container.ts'
import { Failure } from '../../shared/failure.ts'
import { subjects } from '../../shared/subjects.ts'
import { parseInput, parseJson } from '../../shared/wire.ts'
import { idOfCommand } from './command-id.ts'
import { containerSpec } from './container-spec.ts'
import type { Placement } from './placement/placement.ts'
import { type Request, requestOf } from './placement/request.ts'
import type { Projection } from './projection.ts'

interface QueueParts {
  bus: Bus
  placement: Placement
  projection: Projection
  countLimits: boolean
}

/** A create that the work queue has. */
interface Coming {
  container: Container
  request: Request
}

type Pending = Awaited<ReturnType<Bus['pendingCommands']>>[number]

/** Creates that wait for their launch: read from the work queue, which all orchestrators share. */
export const createQueue = ({ bus, placement, projection, countLimits }: QueueParts) => {
  let parsed = new Map<number, Coming | undefined>()

  const parse = (pending: Pending): Coming | undefined => {
    try {
      const message = parseInput(ContainerCreate, parseJson(pending.body))
      const id = message.id ?? idOfCommand({ ...pending })
      const spec = containerSpec(message, { id, node: message.placement?.node ?? '', countLimits })
      const reservation = spec.reservation ?? { cpus: 0, memory: 0 }
      const { name, node, image } = spec
      const createdAt = pending.time.toISOString()
      return {
        request: requestOf(message, { id, image, reservation }, pending.sequence),
        container: { id, name, node, image, status: 'queued', createdAt, spec, steps: {}, sequence: 0 },
      }
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      return undefined // it will be rejected when its turn comes
    }
  }

  const look = async (): Promise<Container[]> => {
    const pending = await bus.pendingCommands(subjects.create)
    const coming = new Map(pending.map((one) => [one.sequence, parsed.get(one.sequence) ?? parse(one)]))
    parsed = coming
    if (coming.size === 0) return []
    const waitOf = await placement.waits()
    const waiting = [...coming.values()].flatMap((one) => {
      const wait = one && !projection.get(one.container.id) ? waitOf(one.request) : undefined
      return one && wait ? [{ ...one, wait }] : []
    })
    return waiting.map(({ container, wait }, index) => ({
      ...container,
      queue: { place: index + 1, of: waiting.length, reason: wait },
    }))
  }

  let underWay: Promise<Container[]> | undefined
  let next: Promise<Container[]> | undefined

  const begin = (): Promise<Container[]> => {
    const begun = look().finally(() => {
      if (underWay === begun) underWay = undefined
    })
    underWay = begun
    return begun
  }

  /** Whoever asks while the queue is looked at shares the next look: a thousand at once take two, not a thousand. */
  const list = (): Promise<Container[]> => {
    if (!underWay) return begin()
    const another = () => {
      next = undefined
      return begin()
    }
    next ??= underWay.then(another, another)
    return next
  }

  return {
    /** Every create that has not begun, in its order. Throws `Failure`. */
    list,
    /** One of them, by the container's id, its name, or an unambiguous beginning of its id. */
    find: async (reference: string): Promise<Container | undefined> => {
      const all = await list()
      const exact = all.find(({ id, name }) => id === reference || name === reference)
      const [one, ...others] = all.filter(({ id }) => id.startsWith(reference))
      return exact ?? (others.length === 0 ? one : undefined)
    },
  }
}

export type Queue = ReturnType<typeof createQueue>

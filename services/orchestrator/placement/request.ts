import type { ContainerCreate } from '../../../shared/contracts/container-create.ts'
import { quantity } from '../../../shared/contracts/quantity.ts'
import { type Constraint, constraintOf } from './constraints.ts'

/** What containers are counted in. */
export const dimensions = ['cpus', 'memory', 'containers'] as const
export type Dimension = (typeof dimensions)[number]
/** Processors, bytes of memory, and containers. */
export type Amount = Record<Dimension, number>

/** What a create asks of the node that it is placed on. */
export interface Request {
  id: string
  /** Sequence of its command in the work queue: its place among others, and what tells it from a later create of the id. */
  command: number
  image: string
  node: string | undefined
  constraints: readonly Constraint[]
  strategy: 'spread' | 'binpack'
  /** Whether it waits for room. */
  wait: boolean
  /** Whether it needs a limit on what it adds to its image. */
  quota: boolean
  amount: Amount
}

/**
 * What a container reserves: Compose's `deploy.resources.reservations`, for memory also `mem_reservation`; with
 * `countLimits` its limits where it has no reservation.
 */
export const reservationOf = (
  message: ContainerCreate,
  limits: { cpus: number; memory: number },
  countLimits: boolean,
): { cpus: number; memory: number } => {
  const { cpus, memory } = message.deploy?.resources?.reservations ?? {}
  const bytes = memory ?? message.mem_reservation
  const unsaid = countLimits ? limits : { cpus: 0, memory: 0 }
  return {
    cpus: cpus === undefined ? unsaid.cpus : Number(cpus),
    memory: bytes === undefined ? unsaid.memory : (quantity(bytes) ?? 0),
  }
}

/** Where a message wants its container, and how much of a node it takes. Throws `Failure` (`invalid_message`). */
export const requestOf = (
  message: ContainerCreate,
  { id, image, reservation }: { id: string; image: string; reservation: { cpus: number; memory: number } },
  command: number,
): Request => {
  const { placement = {}, deploy } = message
  const texts = [...(placement.constraints ?? []), ...(deploy?.placement?.constraints ?? [])]
  const labels = Object.entries(placement.labels ?? {}).map(([key, value]): Constraint => ({
    key: `node.labels.${key}`,
    equal: true,
    value,
  }))
  return {
    id,
    command,
    image,
    node: placement.node ?? undefined,
    constraints: [...texts.map(constraintOf), ...labels],
    strategy: placement.strategy ?? 'spread',
    wait: placement.wait ?? true,
    quota: message.storage_opt?.size !== undefined,
    amount: { ...reservation, containers: 1 },
  }
}

import { availableParallelism, totalmem } from 'node:os'
import type { Config } from '../../../shared/config.ts'
import type { Container } from '../../../shared/contracts/container.ts'
import { type NodeRecord, isReady } from '../../../shared/contracts/node.ts'
import type { ContainerSpec } from '../../../shared/contracts/container-spec.ts'
import type { Nodes } from '../nodes.ts'
import type { Projection } from '../projection.ts'
import type { Candidate } from './choose.ts'
import { type Amount, dimensions } from './request.ts'

interface FleetParts {
  nodes: Nodes
  projection: Projection
  config: Pick<Config, 'node' | 'host'>
}

/** What a container takes of its node for as long as it is there, stopped or not. */
export const amountOf = ({ reservation }: Pick<ContainerSpec, 'reservation'>): Amount => ({
  cpus: reservation?.cpus ?? 0,
  memory: reservation?.memory ?? 0,
  containers: 1,
})

const none = (): Amount => ({ cpus: 0, memory: 0, containers: 0 })

/** The nodes that may be given containers, and what the log's containers take of each. */
export const createFleet = ({ nodes, projection, config: { node: here, host } }: FleetParts) => {
  const used = new Map<string, Amount>()

  const count = (container: Container | undefined, sign: 1 | -1): void => {
    if (!container) return
    const amount = amountOf(container.spec)
    const use = used.get(container.node) ?? none()
    used.set(container.node, use)
    for (const one of dimensions) use[one] += sign * amount[one]
  }
  for (const container of projection.list()) count(container, 1)
  projection.onChange((before, after) => {
    count(before, -1)
    count(after, 1)
  })

  /** Until its services have said how much there is, a node is what its configuration says. */
  const capacityOf = ({ name, capacity }: NodeRecord): Amount => ({
    cpus: capacity.cpus || (name === here ? (host.cpus ?? availableParallelism()) : 0),
    memory: capacity.memory || (name === here ? (host.memoryBytes ?? totalmem()) : 0),
    containers: capacity.containers || (name === here ? host.containers : 0),
  })

  const own = (): NodeRecord =>
    nodes.get(here) ?? {
      name: here,
      joinedAt: '',
      role: 'operator',
      subnet: '',
      version: '',
      labels: host.labels,
      capacity: { cpus: 0, memory: 0, disk: 0, containers: 0 },
      use: { memory: 0, disk: 0 },
      features: {},
      images: [],
      services: {},
      heartbeatAt: '',
    }

  return {
    /** A copy to count with. With no node ready it is the own one, whose services may be about to start. */
    candidates: (): Candidate[] => {
      const ready = nodes.list().filter((record) => isReady(record, host.heartbeatMs))
      return (ready.length > 0 ? ready : [own()]).map((record) => ({
        name: record.name,
        labels: record.labels,
        features: record.features,
        images: record.images,
        capacity: capacityOf(record),
        use: { ...(used.get(record.name) ?? none()) },
        launching: 0,
        claimed: new Set(),
      }))
    },
  }
}

export type Fleet = ReturnType<typeof createFleet>

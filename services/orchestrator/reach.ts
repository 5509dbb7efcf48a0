import type { z } from 'zod'
import type { Bus } from '../../shared/bus.ts'
import type { Container } from '../../shared/contracts/container.ts'
import type { Operation } from '../../shared/contracts/contract.ts'
import { ContainerId } from '../../shared/contracts/identity.ts'
import { Failure } from '../../shared/failure.ts'
import { retrying } from '../../shared/retry.ts'
import { subjects } from '../../shared/subjects.ts'
import { parseReply } from '../../shared/wire.ts'
import { viewContainer } from './parked.ts'
import type { Projection } from './projection.ts'
import type { Queue } from './queue.ts'

/** A service that is restarted answers again within this time; its requests reached nobody meanwhile. */
const restartMs = 5000

/** Requests to one host, and containers by what a user calls them. */
export const createReach = ({
  bus,
  projection,
  queue,
  node: here,
}: {
  bus: Bus
  projection: Projection
  queue: Queue
  node: string
}) => {
  const idOf = (reference: string): string => {
    const exact = projection.get(reference)?.id ?? projection.idOfName(reference)
    if (exact) return exact
    const matches = projection.list().filter(({ id }) => id.startsWith(reference))
    if (matches.length > 1) {
      throw new Failure('conflict', `"${reference}" is the beginning of ${matches.length} containers' ids`)
    }
    return matches[0]?.id ?? reference
  }

  /** The container as the log has it now, which the projection may not show yet. Throws `Failure` (`not_found`). */
  const find = async (reference: string): Promise<Container> => {
    const look = async (id: string) =>
      ContainerId.safeParse(id).success ? (await viewContainer(bus, id, here)).container : undefined
    let container = await look(idOf(reference))
    // A name may have another holder by now.
    const isPast = container?.id !== reference && /^(deleted|failed)$/.test(container?.status ?? '')
    if (!container || isPast) {
      await projection.current()
      container = (await look(idOf(reference))) ?? container
    }
    container ??= await queue.find(reference)
    if (!container) throw new Failure('not_found', `no such container: ${reference}`)
    return container
  }

  return {
    idOf,
    find,
    /**
     * The node of a container by its id as the list shows it, with that status if one is given: a round trip less
     * than the log, for requests that the host itself refuses when they come too late. Undefined when the list does
     * not tell.
     */
    shown: (reference: string, status?: Container['status']): { id: string; node: string } | undefined => {
      const container = projection.get(reference)
      if (!container?.node || (status ?? container.status) !== container.status) return undefined
      return { id: container.id, node: container.node }
    },
    /** The same, refused with `conflict` while it waits for a node. */
    placed: async (reference: string): Promise<Container> => {
      const container = await find(reference)
      if (container.node) return container
      throw new Failure('conflict', `container ${container.id} is ${container.status}: it has no node yet`)
    },
    /** The same, refused with `conflict` unless it has one of the statuses. */
    alive: async (reference: string, statuses: readonly Container['status'][]): Promise<Container> => {
      const container = await find(reference)
      if (statuses.includes(container.status)) return container
      throw new Failure(
        'conflict',
        `container ${container.id} is ${container.status}, not ${statuses.join(' or ')}`,
      )
    },
    /** Asks one host service for one operation, for a moment longer while nobody answers. Throws its `Failure`. */
    ask: async <O extends Operation>(
      node: string,
      operation: O,
      body: z.input<O['input']>,
      timeoutMs = 30_000,
    ): Promise<z.output<O['output']>> => {
      const subject = subjects.host(node, operation.service, operation.verb)
      const signal = AbortSignal.timeout(restartMs)
      const reply = await retrying(() => bus.request(subject, body, { timeoutMs }), {
        signal,
        only: ({ details }) => details['nobody'] === true,
      })
      return parseReply(operation.output, reply, subject).output as z.output<O['output']>
    },
  }
}

export type Reach = ReturnType<typeof createReach>

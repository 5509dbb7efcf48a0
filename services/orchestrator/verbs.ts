import type { z } from 'zod'
import type { Bus } from '../../shared/bus.ts'
import type { Container } from '../../shared/contracts/container.ts'
import type { Operation } from '../../shared/contracts/contract.ts'
import * as host from '../../shared/contracts/operations.ts'
import { type Verb, verbs } from '../../shared/contracts/verbs.ts'
import { Failure } from '../../shared/failure.ts'
import { subjects } from '../../shared/subjects.ts'
import { ReplyBody, parseInput } from '../../shared/wire.ts'
import { readContainer } from './container-log.ts'
import type { Projection } from './projection.ts'

export interface VerbParts {
  bus: Bus
  projection: Projection
  /** The node that answers what names none. */
  node: string
}

export interface VerbHandler {
  verb: Verb
  handle: (body: unknown) => Promise<unknown>
}

const handler = <V extends Verb>(
  verb: V,
  act: (input: z.output<V['input']>) => Promise<z.input<V['output']>>,
): VerbHandler => ({
  verb,
  handle: (body) => act(parseInput(verb.input, body) as z.output<V['input']>),
})

/** Requests to one host, and containers by what a user calls them. */
export const createReach = ({ bus, projection }: VerbParts) => {
  const ask = async <O extends Operation>(
    node: string,
    operation: O,
    body: z.input<O['input']>,
    timeoutMs = 30_000,
  ): Promise<z.output<O['output']>> => {
    const reply = await bus.request(subjects.host(node, operation.service, operation.verb), body, {
      timeoutMs,
    })
    return operation.output.parse(ReplyBody.parse(reply).output) as z.output<O['output']>
  }

  const idOf = (reference: string): string => {
    const exact = projection.get(reference)?.id ?? projection.idOfName(reference)
    if (exact) return exact
    const matches = projection.list().filter(({ id }) => id.startsWith(reference))
    if (matches.length > 1)
      throw new Failure('conflict', `"${reference}" is the beginning of ${matches.length} containers' ids`)
    return matches[0]?.id ?? reference
  }

  /** The container as the log has it now, which the projection may not show yet. */
  const find = async (reference: string): Promise<Container> => {
    const id = idOf(reference)
    const { container } = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(id)
      ? await readContainer(bus, id)
      : { container: undefined }
    if (!container) throw new Failure('not_found', `no such container: ${reference}`)
    return container
  }

  /** The same, refused unless a process can be acted on. */
  const alive = async (reference: string, statuses: readonly Container['status'][]): Promise<Container> => {
    const container = await find(reference)
    if (statuses.includes(container.status)) return container
    throw new Failure(
      'conflict',
      `container ${container.id} is ${container.status}, not ${statuses.join(' or ')}`,
    )
  }

  return { ask, find, alive }
}

const lifecycle = (parts: VerbParts): VerbHandler[] => {
  const { ask, find, alive } = createReach(parts)
  const record = (id: string, type: string, key: string, data: Record<string, unknown>) =>
    parts.bus.publishEvent({ kind: 'container', id, type, messageId: `${id}:${type}:${key}`, data })

  return [
    handler(verbs.containerStart, async ({ container: reference }) => {
      const { id, node, status } = await alive(reference, ['created', 'stopped', 'running'])
      if (status !== 'running') {
        const { pid, startedAt } = await ask(node, host.processStart, { id }, 60_000)
        await record(id, 'container.started', `${pid}:${startedAt}`, { pid, startedAt })
      }
      return find(id)
    }),
    handler(verbs.containerStop, async ({ container: reference, timeoutMs, signal }) => {
      const { id, node, status, spec } = await alive(reference, ['running', 'paused', 'stopped', 'created'])
      if (status === 'stopped') return find(id)
      const graceMs = timeoutMs ?? spec.stopGraceMs
      const state = await ask(
        node,
        host.processStop,
        { id, graceMs, signal: signal ?? (spec.stopSignal || undefined) },
        graceMs + 20_000,
      )
      return { ...(await find(id)), ...state, status: 'stopped' as const }
    }),
    handler(verbs.containerKill, async ({ container: reference, signal }) => {
      const { id, node } = await alive(reference, ['running', 'paused'])
      await ask(node, host.processKill, { id, signal })
      return find(id)
    }),
    handler(verbs.containerPause, async ({ container: reference }) => {
      const { id, node } = await alive(reference, ['running'])
      await ask(node, host.cgroupPause, { id })
      await record(id, 'container.paused', crypto.randomUUID(), {})
      return find(id)
    }),
    handler(verbs.containerUnpause, async ({ container: reference }) => {
      const { id, node } = await alive(reference, ['paused'])
      await ask(node, host.cgroupUnpause, { id })
      await record(id, 'container.unpaused', crypto.randomUUID(), {})
      return find(id)
    }),
  ]
}

const execution = (parts: VerbParts): VerbHandler[] => {
  const { ask, alive, find } = createReach(parts)
  return [
    handler(verbs.containerExec, async ({ container: reference, ...process }) => {
      const { id, node } = await alive(reference, ['running'])
      return { id, node, ...(await ask(node, host.processExec, { id, ...process })) }
    }),
    handler(verbs.containerExecStart, async ({ container: reference, execId }) => {
      const { id, node } = await find(reference)
      return ask(node, host.execStart, { id, execId })
    }),
    handler(verbs.containerExecWait, async ({ container: reference, execId, timeoutMs }) => {
      const { id, node } = await find(reference)
      return ask(node, host.execWait, { id, execId, timeoutMs }, timeoutMs + 5000)
    }),
  ]
}

const leaksOf = async (parts: VerbParts, node: string) => {
  const { ask } = createReach(parts)
  const found = await Promise.all(Object.values(host.objects).map((operation) => ask(node, operation, {})))
  const living = new Set(parts.projection.list().map(({ id }) => id))
  const suspects = found
    .flatMap(({ objects }) => objects)
    .filter(({ container }) => container !== null && !living.has(container))
  const kept = new Map<string, boolean>()
  for (const { container } of suspects) {
    if (container === null || kept.has(container)) continue
    const status = (await readContainer(parts.bus, container)).container?.status
    kept.set(container, status !== undefined && status !== 'deleted' && status !== 'failed')
  }
  return suspects.filter(({ container }) => !kept.get(container ?? ''))
}

const queries = (parts: VerbParts): VerbHandler[] => {
  const { ask, find } = createReach(parts)
  const { projection, node: here } = parts
  return [
    handler(verbs.containerGet, ({ container }) => find(container)),
    handler(verbs.containerList, async ({ all }) => ({
      containers: projection
        .list()
        .filter(({ status }) => all || status === 'running' || status === 'paused'),
    })),
    handler(verbs.imageImport, ({ node, ...input }) => ask(node ?? here, host.imageImport, input, 600_000)),
    handler(verbs.imageList, ({ node }) => ask(node ?? here, host.imageList, {})),
    handler(verbs.imageRemove, ({ node, ...input }) => ask(node ?? here, host.imageRemove, input)),
    handler(verbs.leaks, async ({ node }) => ({ leaks: await leaksOf(parts, node ?? here) })),
  ]
}

/** Every public request an orchestrator answers. */
export const verbHandlers = (parts: VerbParts): VerbHandler[] => [
  ...queries(parts),
  ...lifecycle(parts),
  ...execution(parts),
]

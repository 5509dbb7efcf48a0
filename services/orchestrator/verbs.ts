import type { Container } from '../../shared/contracts/container.ts'
import * as host from '../../shared/contracts/operations.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { Failure } from '../../shared/failure.ts'
import { findLeaks } from './leaks.ts'
import { pageOf } from './page.ts'
import type { Initializer, Starter } from './restarts.ts'
import { streamVerbs } from './stream-verbs.ts'
import { type VerbHandler, type VerbParts, handler } from './verb-handler.ts'

interface Lives {
  restore: (container: Container) => Promise<void>
  initialize: Initializer
  start: Starter
}

const lifecycle = (parts: VerbParts, { initialize, start }: Lives): VerbHandler[] => {
  const { ask, find, alive } = parts.reach
  const record = (id: string, type: string, key: string, data: Record<string, unknown>) =>
    parts.bus.publishEvent({ kind: 'container', id, type, messageId: `${id}:${type}:${key}`, data })

  return [
    handler(verbs.containerInit, async ({ container: reference }) => {
      const container = await alive(reference, ['created', 'stopped'])
      if (container.status === 'stopped') await initialize(container)
      return container
    }),
    handler(verbs.containerStart, async ({ container: reference }) => {
      const container = await alive(reference, ['created', 'stopped', 'running'])
      if (container.status !== 'running') await start(container)
      return find(container.id)
    }),
    handler(verbs.containerStop, async ({ container: reference, timeoutMs, signal }) => {
      const { id, node, status, spec } = await alive(reference, ['running', 'paused', 'stopped', 'created'])
      // Of one that has stopped too if it has a policy: its restart may be waiting, or under way.
      if (status === 'stopped' && spec.restart === 'no') return find(id)
      await record(id, 'container.stopping', crypto.randomUUID(), { graceMs: timeoutMs ?? spec.stopGraceMs })
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
      if (/^(SIG)?(KILL|TERM)$|^(9|15)$/.test(signal))
        await record(id, 'container.stopping', crypto.randomUUID(), { signal })
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

const execution = (parts: VerbParts, { restore }: Lives): VerbHandler[] => {
  const { ask, alive, placed, shown } = parts.reach
  return [
    handler(verbs.containerExec, async ({ container: reference, ...process }) => {
      const { id, node } = shown(reference, 'running') ?? (await alive(reference, ['running']))
      return { id, node, ...(await ask(node, host.processExec, { id, ...process })) }
    }),
    handler(verbs.containerCopy, async ({ container: reference, ...copy }) => {
      const container = await alive(reference, ['created', 'running', 'paused', 'stopped'])
      const { id, node, status } = container
      const begin = () => ask(node, host.processCopy, { id, ...copy })
      try {
        return { id, node, ...(await begin()) }
      } catch (error) {
        // A reboot leaves a container its files, and nothing of what its processes are made in.
        if (!(error instanceof Failure) || error.code !== 'system' || status !== 'stopped') throw error
        await restore(container)
        return { id, node, ...(await begin()) }
      }
    }),
    handler(verbs.containerExecStart, async ({ container: reference, execId }) => {
      const { id, node } = shown(reference) ?? (await placed(reference))
      return ask(node, host.execStart, { id, execId })
    }),
    handler(verbs.containerExecWait, async ({ container: reference, execId, timeoutMs }) => {
      const { id, node } = shown(reference) ?? (await placed(reference))
      return ask(node, host.execWait, { id, execId, timeoutMs }, timeoutMs + 5000)
    }),
  ]
}

const queries = (parts: VerbParts): VerbHandler[] => {
  const { ask, find } = parts.reach
  const { projection, queue, node: here } = parts
  return [
    handler(verbs.containerGet, ({ container }) => find(container)),
    handler(verbs.containerList, async ({ all, cursor }) => {
      if (!cursor) await projection.current()
      const shown = ({ status }: Container) => all || status === 'running' || status === 'paused'
      const listed = [...(await queue.list()), ...projection.list().filter(shown)]
      const { page, next } = pageOf(listed, {
        cursor,
        show: (container) => ({ ...container, steps: undefined }),
      })
      return { containers: page, next }
    }),
    handler(verbs.imageImport, ({ node, ...input }) => ask(node ?? here, host.imageImport, input, 600_000)),
    handler(verbs.imageUpload, ({ node, ...input }) => ask(node, host.imageUpload, input)),
    handler(verbs.imageList, ({ node }) => ask(node ?? here, host.imageList, {})),
    handler(verbs.imageRemove, ({ node, ...input }) => ask(node ?? here, host.imageRemove, input)),
    handler(verbs.volumeCreate, ({ node, ...input }) => ask(node ?? here, host.volumeCreate, input)),
    handler(verbs.volumeList, ({ node }) => ask(node ?? here, host.volumeList, {})),
    handler(verbs.volumeInspect, ({ node, ...input }) => ask(node ?? here, host.volumeInspect, input)),
    handler(verbs.volumeRemove, ({ node, ...input }) => ask(node ?? here, host.volumeRemove, input)),
    handler(verbs.leaks, async ({ node }) => ({
      leaks: (await findLeaks(parts, node ?? here)).map(({ kind, name, container, ownership }) => ({
        kind,
        name,
        container,
        ownership,
      })),
    })),
  ]
}

/** The public requests about containers, images and nodes. */
export const verbHandlers = (parts: VerbParts, lives: Lives): VerbHandler[] => [
  ...queries(parts),
  ...lifecycle(parts, lives),
  ...execution(parts, lives),
  ...streamVerbs(parts),
]

import { setTimeout as delay } from 'node:timers/promises'
import type { Bus } from '../../shared/bus.ts'
import { checkpointType } from '../../shared/contracts/checkpoint.ts'
import { Container } from '../../shared/contracts/container.ts'
import type { StoredEvent } from '../../shared/contracts/event.ts'
import type { Log } from '../../shared/log.ts'
import { idOfEvent } from '../../shared/subjects.ts'
import { Failure } from '../../shared/failure.ts'
import { backoffMs, retrying } from '../../shared/retry.ts'
import { bounded } from './checkpoint.ts'
import { tellParked, viewContainer } from './parked.ts'

/** Journal events that change nothing a list shows. */
const silent = new Set(['saga.progressed', 'saga.resumed', 'container.rejected', checkpointType])

/** How long a question waits for the list to take in what is already on the log. */
const behindMs = 2000

interface Update {
  key: string
  operation: string
  value: Uint8Array
  revision: number
}

/** Says in the bucket that the whole log has been projected to it; no id has such a character. */
const completeKey = '=complete'

interface ProjectionParts {
  bus: Bus
  /** The node that a container counts to whose log does not say any. */
  node: string
  log: Log
  signal: AbortSignal
}

/**
 * The containers of the fleet: the `containers` bucket, projected from the log by whichever orchestrator
 * takes an event, and a copy of it in memory that a watch keeps up to date.
 */
export const createProjection = async ({ bus, node, log, signal }: ProjectionParts) => {
  const bucket = await bus.bucket('containers')
  const known = new Map<string, Container>()
  let seen = 0

  const project = async (id: string): Promise<void> => {
    // The entry first: if it is still the last when it is replaced, what is written is no older than what it said.
    const entry = await bucket.get(id)
    const { container, known: readable, events, failure } = await viewContainer(bus, id, node)
    if (failure) await tellParked(bus, id, { events, failure })
    if (readable) await bounded({ bus, log }, id, readable)
    const previousSeq = entry?.revision ?? 0
    if (container && container.status !== 'deleted' && container.status !== 'failed')
      return void (await bucket.put(id, JSON.stringify(container), { previousSeq }))
    // Without a mark another orchestrator could still bring it back, out of a log that it read before.
    const marked = entry ? entry.operation !== 'PUT' : !container
    if (!marked) await bucket.delete(id, { previousSeq })
  }

  /** Until it is done. */
  const projected = async (id: string): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await project(id)
      } catch (error) {
        if (!(error instanceof Failure) || signal.aborted) throw error
        const again = error.retryable || error.code === 'stale'
        log[again ? 'debug' : 'warn']({ container: id, reason: error.message }, 'container not projected')
        if (!again) return
        await delay(backoffMs(attempt), undefined, { signal })
      }
    }
  }

  const see = ({ key, operation, value, revision }: Update): void => {
    seen = revision
    const container =
      operation === 'PUT' ? Container.safeParse(JSON.parse(new TextDecoder().decode(value))).data : undefined
    if (key === completeKey) return
    if (container) known.set(key, container)
    else known.delete(key)
  }

  const watch = async (ready: () => void): Promise<void> => {
    let end: (() => void) | undefined
    signal.addEventListener('abort', () => end?.(), { once: true })
    // A watch comes back by itself, but only after it has missed heartbeats: up to ten seconds of an old list.
    bus.onReconnect(() => end?.())
    while (!signal.aborted) {
      const updates = await retrying(() => bucket.watch({ initializedFn: ready }), { signal, log })
      end = () => updates.stop()
      for await (const update of updates) see(update)
    }
  }

  const consume = () => {
    const handle = async (events: readonly StoredEvent[]): Promise<void> => {
      const telling = events.filter(({ event }) => !event || !silent.has(event.type))
      await Promise.all([...new Set(telling.map(({ subject }) => idOfEvent(subject)))].map(projected))
    }
    const { hurry, ended } = bus.consumeEvents('projector', handle, signal)
    return {
      hurry,
      ended: ended.catch((error: unknown) => {
        if (!signal.aborted) throw error // else the events stay unacknowledged, for another orchestrator
      }),
    }
  }

  /** Projects every container of the log, and drops those that it does not know; answers how many there are now. */
  const rebuild = async (): Promise<number> => {
    for (const id of new Set([...known.keys(), ...(await bus.idsOf('container'))])) await projected(id)
    const mark = await bucket.get(completeKey)
    // Of two that start at once one is the first to say it.
    const said = (error: unknown): void => {
      if (!(error instanceof Failure) || error.code !== 'stale') throw error
    }
    if (mark?.operation !== 'PUT') await bucket.create(completeKey, '1').catch(said)
    return known.size
  }

  /** Waits, for a moment, until the list shows what is on the log now: whoever made it asks for it next. */
  const current = async (): Promise<void> => {
    const { lastSequence } = await bus.logState()
    const until = Date.now() + behindMs
    const shown = async () =>
      (await bus.hasConsumed('projector', lastSequence)) && seen >= (await bucket.revision())
    while (!(await shown()) && Date.now() < until) {
      consuming.hurry()
      await delay(5)
    }
  }

  const { promise: ready, resolve } = Promise.withResolvers<void>()
  const watching = watch(resolve)
  await ready
  if ((await bucket.get(completeKey))?.operation !== 'PUT') await rebuild()
  const consuming = consume()
  return {
    list: (): Container[] => [...known.values()].toSorted((a, b) => b.createdAt.localeCompare(a.createdAt)),
    get: (id: string) => known.get(id),
    idOfName: (name: string) => [...known.values()].find((container) => container.name === name)?.id,
    rebuild,
    current,
    ended: Promise.all([watching, consuming.ended]),
  }
}

export type Projection = Awaited<ReturnType<typeof createProjection>>

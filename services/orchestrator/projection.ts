import { setTimeout as delay } from 'node:timers/promises'
import type { Bus } from '../../shared/bus.ts'
import { Container } from '../../shared/contracts/container.ts'
import type { Log } from '../../shared/log.ts'
import { idOfEvent } from '../../shared/subjects.ts'
import { Failure } from '../../shared/failure.ts'
import { backoffMs } from '../../shared/retry.ts'
import { readContainer } from './container-log.ts'

/** Journal events that change nothing a list shows. */
const silent = new Set(['saga.progressed', 'saga.resumed', 'container.rejected'])

/**
 * The containers of the fleet: the `containers` bucket, projected from the log by whichever orchestrator
 * takes an event, and a copy of it in memory that a watch keeps up to date.
 */
export const createProjection = async (bus: Bus, log: Log, signal: AbortSignal) => {
  const bucket = await bus.bucket('containers')
  const known = new Map<string, Container>()

  const project = async (id: string): Promise<void> => {
    // The entry first: if it is still the last when it is replaced, what is written is no older than what it said.
    const entry = await bucket.get(id)
    const { container } = await readContainer(bus, id)
    if (!container) return
    const previousSeq = entry?.revision ?? 0
    const gone = container.status === 'deleted' || container.status === 'failed'
    if (!gone) return void (await bucket.put(id, JSON.stringify(container), { previousSeq }))
    // Without a mark another orchestrator could still bring it back, out of a log that it read before.
    if (!entry) return void (await bucket.create(id, ''))
    if (entry.operation === 'PUT' && entry.length > 0) await bucket.delete(id, { previousSeq })
  }

  /** Until it is done: only a log that cannot be read is passed over. */
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

  const watch = async (ready: () => void): Promise<void> => {
    const updates = await bucket.watch({ initializedFn: ready })
    signal.addEventListener('abort', () => updates.stop(), { once: true })
    for await (const { key, operation, value } of updates) {
      const container =
        operation === 'PUT' && value.length > 0
          ? Container.safeParse(JSON.parse(new TextDecoder().decode(value))).data
          : undefined
      if (container) known.set(key, container)
      else known.delete(key)
    }
  }

  const consume = () =>
    bus
      .consumeEvents(
        'projector',
        async ({ subject, event }) => {
          if (!event || !silent.has(event.type)) await projected(idOfEvent(subject))
        },
        signal,
      )
      .catch((error: unknown) => {
        if (!signal.aborted) throw error // else the event stays unacknowledged, for another orchestrator
      })

  /** Projects every container of the log; answers how many there are now. */
  const rebuild = async (): Promise<number> => {
    for (const id of await bus.idsOf('container')) await projected(id)
    return known.size
  }

  const { promise: ready, resolve } = Promise.withResolvers<void>()
  const watching = watch(resolve)
  await ready
  if (known.size === 0) await rebuild()
  return {
    list: (): Container[] => [...known.values()].toSorted((a, b) => b.createdAt.localeCompare(a.createdAt)),
    get: (id: string) => known.get(id),
    idOfName: (name: string) => [...known.values()].find((container) => container.name === name)?.id,
    rebuild,
    ended: Promise.all([watching, consume()]),
  }
}

export type Projection = Awaited<ReturnType<typeof createProjection>>

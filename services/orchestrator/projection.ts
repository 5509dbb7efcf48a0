import type { Bus } from '../../shared/bus.ts'
import { Container } from '../../shared/contracts/container.ts'
import type { Log } from '../../shared/log.ts'
import { idOfEvent } from '../../shared/subjects.ts'
import { Failure, reasonOf } from '../../shared/failure.ts'
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
    const { container } = await readContainer(bus, id)
    if (!container) return
    const gone = container.status === 'deleted' || container.status === 'failed'
    const entry = await bucket.get(id)
    const before = entry?.operation === 'PUT' ? Container.safeParse(entry.json()).data : undefined
    if (before && before.sequence > container.sequence) return
    if (gone) return void (before && (await bucket.delete(id, { previousSeq: entry?.revision ?? 0 })))
    await bucket.put(id, JSON.stringify(container), { previousSeq: entry?.revision ?? 0 })
  }

  const watch = async (ready: () => void): Promise<void> => {
    const updates = await bucket.watch({ initializedFn: ready })
    signal.addEventListener('abort', () => updates.stop(), { once: true })
    for await (const { key, operation, value } of updates) {
      const container =
        operation === 'PUT'
          ? Container.safeParse(JSON.parse(new TextDecoder().decode(value))).data
          : undefined
      if (container) known.set(key, container)
      else known.delete(key)
    }
  }

  const consume = () =>
    bus.consumeEvents(
      'projector',
      async ({ subject, event, sequence }) => {
        if (event && silent.has(event.type)) return
        try {
          await project(idOfEvent(subject))
        } catch (error) {
          // A log that cannot be read, or another orchestrator that was quicker: the next event looks again.
          log.warn({ sequence, subject, reason: reasonOf(error) }, 'event not projected')
          if (error instanceof Failure && error.retryable) throw error
        }
      },
      signal,
    )

  /** Projects every container of the log; answers how many there are now. */
  const rebuild = async (): Promise<number> => {
    for (const id of await bus.idsOf('container')) {
      await project(id).catch((error: unknown) =>
        log.warn({ container: id, reason: reasonOf(error) }, 'log not projected'),
      )
    }
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

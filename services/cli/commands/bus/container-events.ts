import type { Bus } from '../../../../shared/bus.ts'
import type { CloudEvent } from '../../../../shared/contracts/event.ts'
import { Failure } from '../../../../shared/failure.ts'

export interface SeenEvent {
  sequence: number
  event: CloudEvent
}

/** What ends a run of a container, or the container. */
export const endings: ReadonlySet<string> = new Set([
  'container.exited',
  'container.deleted',
  'container.failed',
  'container.stuck',
])

/** The exit code of a container that is deleted while it runs, whose exit is not always told before. */
export const killed = 137

/** The events of one container from a point of the log on, kept so that none is missed between two waits. */
export interface ContainerEvents extends AsyncDisposable {
  /** The first event, past or to come, that matches. Rejects when the log can no longer be followed. */
  until(match: (seen: SeenEvent) => boolean): Promise<SeenEvent>
}

/** Follows a container's events; `after` as in the bus, `onEvent` sees each as it comes. */
export const watchContainer = (
  bus: Bus,
  id: string,
  { after, onEvent }: { after: 'all' | number; onEvent?: (seen: SeenEvent) => void },
): ContainerEvents => {
  const stop = new AbortController()
  const events: SeenEvent[] = []
  let changed = Promise.withResolvers<void>()
  let broken: unknown

  const read = async () => {
    for await (const { sequence, event } of bus.followEvents({ kind: 'container', id, after }, stop.signal)) {
      if (!event) continue
      const seen = { sequence, event }
      events.push(seen)
      onEvent?.(seen)
      changed.resolve()
      changed = Promise.withResolvers()
    }
    if (!stop.signal.aborted)
      throw new Failure('interrupted', `cannot follow the events of ${id}: the bus ended them`)
  }
  const reading = read().catch((error: unknown) => {
    broken = error
    changed.resolve()
  })

  return {
    until: async (match) => {
      for (let next = 0; ;) {
        const found = events.slice(next).find(match)
        if (found) return found
        if (broken !== undefined) throw broken
        next = events.length
        await changed.promise
      }
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await reading
      broken ??= new Failure('interrupted', `the events of ${id} are not followed any more`)
      changed.resolve()
    },
  }
}

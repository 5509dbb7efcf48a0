import type { Bus } from '../../shared/bus.ts'
import type { CloudEvent } from '../../shared/contracts/event.ts'
import { eventually } from './stack.ts'

/** What the reconcilers of a stack tell of its nodes, from the log's beginning. */
export const nodeEvents = (bus: Bus) => {
  const stop = new AbortController()
  const events: CloudEvent[] = []
  let broken: unknown
  const read = async () => {
    for await (const { event } of bus.followEvents({ kind: 'node', after: 'all' }, stop.signal))
      if (event) events.push(event)
  }
  const reading = read().catch((error: unknown) => {
    broken = error
  })
  const about = (type: string, container: string) =>
    events.filter((event) => event.type === type && event.data['container'] === container)
  return {
    events,
    about,
    /** The first event of this type about the container. */
    until: async (type: string, container: string, timeoutMs?: number): Promise<CloudEvent> => {
      const holds = () => {
        if (broken) throw broken
        return about(type, container).length > 0
      }
      await eventually(`${type} about ${container}`, holds, timeoutMs)
      return about(type, container)[0]!
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await reading
    },
  }
}

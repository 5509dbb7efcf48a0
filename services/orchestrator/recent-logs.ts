import { expanded } from '../../shared/contracts/checkpoint.ts'
import type { StoredEvent } from '../../shared/contracts/event.ts'

/** What was projected last of a container: its log up to there, and the revision of its entry in the list. */
interface Recent {
  events: StoredEvent[]
  revision: number
}

/** Containers whose saga is under way at once; of more the log is read again. */
const most = 512

/**
 * The logs of containers whose sagas are under way, put together from their events as they come: each says
 * which one its writer took for the last before it, so that a gap is seen.
 */
export const createRecentLogs = () => {
  const logs = new Map<string, Recent>()

  const followed = (before: readonly StoredEvent[], came: readonly StoredEvent[]) => {
    const events = [...before]
    for (const event of came) {
      const last = events.at(-1)?.sequence ?? 0
      if (event.sequence <= last) continue // delivered again
      if (event.expected !== last) return undefined
      events.push(event)
    }
    return events
  }

  return {
    /** The log of a container with the events that came, and the revision on which the list can be written; undefined when it has to be read. */
    follow: (id: string, came: readonly StoredEvent[]): Recent | undefined => {
      const { events: before, revision } = logs.get(id) ?? { events: [], revision: 0 }
      const events = followed(before, came)
      logs.delete(id)
      return events && { events: expanded(events), revision }
    },
    /** Remembers what was projected, for the events to come. */
    keep: (id: string, recent: Recent): void => {
      logs.delete(id)
      logs.set(id, recent)
      const oldest = logs.size > most ? logs.keys().next().value : undefined
      if (oldest !== undefined) logs.delete(oldest)
    },
  }
}

export type RecentLogs = ReturnType<typeof createRecentLogs>

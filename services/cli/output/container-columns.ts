import type { Container } from '../../../shared/contracts/container.ts'
import { ago, span } from './time.ts'

type Listed = Omit<Container, 'steps'>

const shortest = 12
const commandWidth = 20

/**
 * The beginning of each id that no other in the list shares, 12 characters at least: what the verbs take.
 * The first ten characters of a generated id are its time, alike for containers created together.
 */
export const shortIds = (ids: readonly string[]): string[] => {
  const longest = Math.max(0, ...ids.map((id) => id.length))
  for (let length = shortest; length < longest; length++) {
    const short = ids.map((id) => id.slice(0, length))
    if (new Set(short).size === new Set(ids).size) return short
  }
  return [...ids]
}

/** `"sh -c 'sleep…"`, as the caller gave it; an image's own command is not repeated here. */
export const commandColumn = ({ spec }: Listed, { full = false }: { full?: boolean } = {}): string => {
  const words = [...(spec.process.entrypoint ?? []), ...(spec.process.args ?? [])].join(' ')
  const shown = full || words.length <= commandWidth ? words : `${words.slice(0, commandWidth - 1)}…`
  return `"${shown}"`
}

const sentences: Record<Container['status'], (container: Listed, now: number) => string> = {
  queued: ({ queue }) => (queue ? `Queued, ${queue.place} of ${queue.of}: ${queue.reason}` : 'Queued'),
  creating: () => 'Creating',
  created: () => 'Created',
  running: ({ startedAt }, now) => (startedAt ? `Up ${span(now - Date.parse(startedAt))}` : 'Up'),
  paused: ({ startedAt }, now) => `${startedAt ? `Up ${span(now - Date.parse(startedAt))}` : 'Up'} (Paused)`,
  stopped: ({ exitCode, finishedAt, oomKilled }, now) =>
    `Exited (${exitCode ?? '?'})${finishedAt ? ` ${ago(finishedAt, now)}` : ''}${oomKilled ? ' (out of memory)' : ''}`,
  deleting: () => 'Removing',
  deleted: () => 'Removed',
  failed: ({ error }) => `Failed${error?.step ? ` (${error.step})` : ''}`,
  stuck: ({ error }) => `Stuck${error?.step ? ` (${error.step})` : ''}`,
}

/** The state in Docker's words: "Up 3 minutes", "Exited (0) 5 seconds ago". */
export const statusColumn = (container: Listed, now = Date.now()): string =>
  sentences[container.status](container, now)

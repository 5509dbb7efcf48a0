import type { Bus } from '../../shared/bus.ts'
import type { Container } from '../../shared/contracts/container.ts'
import { Failure } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { retrying } from '../../shared/retry.ts'
import { idOfEvent } from '../../shared/subjects.ts'
import { isSilent } from './projector.ts'

/** A server that was killed has lost of the list what it had not synced: of the last two minutes, and some more. */
const unsyncedMs = 180_000

const gone: readonly string[] = ['container.deleted', 'container.failed']

interface RecoveryParts {
  bus: Bus
  log: Log
  signal: AbortSignal
  /** The container as the list shows it. */
  shown: (id: string) => Container | undefined
  /** Writes to the list what the container's log comes to. */
  project: (id: string) => Promise<void>
}

interface Told {
  sequence: number
  type: string | undefined
}

const isShown = ({ sequence, type = '' }: Told, container: Container | undefined): boolean =>
  container ? container.sequence >= sequence : gone.includes(type)

/** Answers how many entries were older than the log. Throws `Failure`. */
const catchUp = async ({ bus, shown, project }: RecoveryParts): Promise<number> => {
  const latest = new Map<string, Told>()
  for await (const events of bus.recentEvents('container', unsyncedMs))
    for (const { subject, sequence, type } of events)
      if (!isSilent(type)) latest.set(idOfEvent(subject), { sequence, type })
  const behind = [...latest].filter(([id, told]) => !isShown(told, shown(id))).map(([id]) => id)
  for (const id of behind) await project(id)
  return behind.length
}

/** Makes up for entries of the list that are older than the log, whose events were acknowledged all the same. */
export const recoverList = async (parts: RecoveryParts): Promise<void> => {
  const { log, signal } = parts
  try {
    const containers = await retrying(() => catchUp(parts), { signal, log })
    if (containers > 0) log.info({ containers }, 'the list was behind the log')
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    if (!signal.aborted) log.warn({ reason: error.message }, 'cannot compare the list with the log')
  }
}

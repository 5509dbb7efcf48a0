import type { Bus } from '../../shared/bus.ts'
import type { Container } from '../../shared/contracts/container.ts'
import { idOfEvent } from '../../shared/subjects.ts'
import { isSilent } from './projector.ts'

/** A server that was killed has lost of the list what it had not synced: of the last two minutes, and some more. */
const unsyncedMs = 180_000

const gone: readonly string[] = ['container.deleted', 'container.failed']

interface RecoveryParts {
  bus: Bus
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

/**
 * Makes up for entries of the list that are older than the log, whose events were acknowledged all the same. Answers
 * how many there were. Throws `Failure`.
 */
export const recoverList = async ({ bus, shown, project }: RecoveryParts): Promise<number> => {
  const latest = new Map<string, Told>()
  for await (const events of bus.recentEvents('container', unsyncedMs))
    for (const { subject, sequence, type } of events)
      if (!isSilent(type)) latest.set(idOfEvent(subject), { sequence, type })
  const behind = [...latest].filter(([id, told]) => !isShown(told, shown(id))).map(([id]) => id)
  for (const id of behind) await project(id)
  return behind.length
}

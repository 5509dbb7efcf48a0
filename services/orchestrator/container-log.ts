import { z } from 'zod'
import type { Bus } from '../../shared/bus.ts'
import type { Container } from '../../shared/contracts/container.ts'
import { type StoredEvent, outcomeTypes } from '../../shared/contracts/event.ts'
import { SagaRecord } from '../../shared/contracts/journal.ts'
import { idOfEvent } from '../../shared/subjects.ts'
import { describeContainer, unreadable } from './container-state.ts'
import type { JournalContent } from './saga/journal.ts'
import { foldJournal } from './saga/ledger.ts'
import type { SagaState } from './saga/state.ts'

/** Everything the log says of one container. */
export interface ContainerLog {
  /** Its records, those before a checkpoint as that holds them. */
  events: readonly StoredEvent[]
  content: JournalContent
  saga: SagaState | undefined
  /** Message ids of the commands that have had their outcome. */
  answered: Set<string>
  /** Message id of the command that began the present saga. */
  startedBy: string | undefined
  /** Message id of the command that last began to undo it. */
  unwoundBy: string | undefined
  /** Message id of the command that last cancelled it. */
  cancelledBy: string | undefined
  container: Container | undefined
  /** An operator gave up what was here before: what is on the host may be its remains. */
  abandoned: boolean
  /** When the last event was written, in milliseconds since the epoch. */
  changedAt: number
}

/** An operator's word: everything before it counts no more, be it readable or not. */
export const abandonedType = 'container.abandoned'

const Entry = z.object({ record: SagaRecord })

const sagaEntry = ({ sequence, subject, event, raw }: StoredEvent) => {
  if (!event) throw unreadable(sequence, `no CloudEvent: ${raw.slice(0, 80)}`)
  if (event.subject !== idOfEvent(subject)) throw unreadable(sequence, `an event of ${event.subject}`)
  if (!('record' in event.data)) return undefined
  const entry = Entry.safeParse(event.data)
  if (!entry.success) throw unreadable(sequence, `no saga record: ${entry.error.issues[0]?.message}`)
  return { sequence, messageId: event.id.slice(event.subject.length + 1), record: entry.data.record }
}

/** Folds a container's events. Throws `Failure` (`invalid_message`, with the sequence) when the log is not whole. */
export const foldContainer = (all: readonly StoredEvent[]): ContainerLog => {
  const given = all.findLastIndex(({ event }) => event?.type === abandonedType)
  const events = all.slice(given + 1)
  const entries = events.map(sagaEntry).filter((entry) => entry !== undefined)
  const content = { entries, sequence: all.at(-1)?.sequence ?? 0 }
  const saga = foldJournal(content)
  const outcomes = all.filter(
    ({ event }) => event?.commandid && (outcomeTypes as readonly string[]).includes(event.type),
  )
  const begun = entries.findLast(({ record }) => record.kind === 'started')?.sequence ?? 0
  const lastOf = (kind: SagaRecord['kind']) =>
    entries.findLast(({ record }) => record.kind === kind)?.sequence
  const eventAt = (wanted: number | undefined) => events.find(({ sequence }) => sequence === wanted)?.event
  const started = eventAt(begun)
  const own = events.filter(({ sequence }) => sequence >= begun)
  return {
    events: all,
    content,
    saga,
    answered: new Set(outcomes.map(({ event }) => event?.commandid ?? '')),
    startedBy: started?.commandid,
    unwoundBy: eventAt(lastOf('unwinding'))?.commandid,
    cancelledBy: eventAt(lastOf('cancelled'))?.commandid,
    container: saga && describeContainer(saga, own, started?.time ?? ''),
    abandoned: given !== -1,
    changedAt: Date.parse(all.at(-1)?.event?.time ?? '') || 0,
  }
}

/** Reads and folds one container's log. */
export const readContainer = async (bus: Bus, id: string): Promise<ContainerLog> =>
  foldContainer(await bus.journal('container', id))

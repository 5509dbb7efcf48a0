import { z } from 'zod'
import type { Bus } from '../../shared/bus.ts'
import type { Container, ContainerStatus } from '../../shared/contracts/container.ts'
import { ContainerSpec } from '../../shared/contracts/container-spec.ts'
import { type StoredEvent, outcomeTypes } from '../../shared/contracts/event.ts'
import { SagaRecord } from '../../shared/contracts/journal.ts'
import { Failure } from '../../shared/failure.ts'
import { retrying } from '../../shared/retry.ts'
import type { Log } from '../../shared/log.ts'
import { idOfEvent } from '../../shared/subjects.ts'
import type { Journal, JournalContent } from './saga/journal.ts'
import { foldJournal } from './saga/ledger.ts'
import type { SagaState } from './saga/state.ts'

/** Everything the log says of one container. */
export interface ContainerLog {
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

const unreadable = (sequence: number, reason: string): Failure =>
  new Failure('invalid_message', `sequence ${sequence}: ${reason}`, { details: { sequence } })

const sagaEntry = ({ sequence, subject, event, raw }: StoredEvent) => {
  if (!event) throw unreadable(sequence, `no CloudEvent: ${raw.slice(0, 80)}`)
  if (event.subject !== idOfEvent(subject)) throw unreadable(sequence, `an event of ${event.subject}`)
  if (!('record' in event.data)) return undefined
  const entry = Entry.safeParse(event.data)
  if (!entry.success) throw unreadable(sequence, `no saga record: ${entry.error.issues[0]?.message}`)
  return { sequence, messageId: event.id.slice(event.subject.length + 1), record: entry.data.record }
}

const settled: Partial<Record<NonNullable<SagaState['outcome']>, ContainerStatus>> = {
  compensated: 'failed',
  undone: 'deleted',
  stuck: 'stuck',
  aborted: 'failed',
}

const statusOf = (saga: SagaState): ContainerStatus => {
  if (saga.phase !== 'ended') return saga.rested ? 'deleting' : 'creating'
  return settled[saga.outcome ?? 'stuck'] ?? 'created'
}

const Lifecycle = z.object({
  pid: z.number().optional(),
  startedAt: z.string().optional(),
  exitCode: z.number().optional(),
  oomKilled: z.boolean().optional(),
  finishedAt: z.string().optional(),
  /** Started by the restart policy. */
  restart: z.boolean().optional(),
})

/** The container's own events, after its saga has completed: what each makes of the status. */
const lifecycle: Record<string, ContainerStatus> = {
  'container.started': 'running',
  'container.exited': 'stopped',
  'container.paused': 'paused',
  'container.unpaused': 'running',
}

const initOf = (saga: SagaState) => {
  const output = Object.values(saga.steps).findLast((step) => step.output && 'pid' in step.output)?.output
  return {
    pid: output?.['pid'] as number | undefined,
    startedAt: output?.['startedAt'] as string | undefined,
  }
}

/** A process that ran this long has not failed at once: its restarts are counted anew. */
const steadyMs = 10_000

/** Takes one event of the container's own life into account. */
const live = (container: Container, { event, sequence }: StoredEvent, exited: Set<string>): void => {
  const { type = '', data } = event ?? {}
  if (type === 'container.stopping') container.stoppedByUser = true
  const status = lifecycle[type]
  if (!status) return
  const said = Lifecycle.safeParse(data)
  if (!said.success) throw unreadable(sequence, `no ${type}: ${said.error.issues[0]?.message}`)
  const { pid, startedAt, restart, ...rest } = said.data
  if (type === 'container.exited') {
    // Init ended before anyone asked for its command: no policy may be the first to run it.
    if (container.status === 'created') container.stoppedByUser = true
    exited.add(`${pid}:${startedAt}`)
    if (startedAt && rest.finishedAt && Date.parse(rest.finishedAt) - Date.parse(startedAt) > steadyMs)
      container.restarts = 0
  }
  if (type === 'container.started') container.restarts = restart ? (container.restarts ?? 0) + 1 : 0
  // A process may end before its start is on the log.
  if (type === 'container.started' && exited.has(`${pid}:${startedAt}`)) return
  container.status = status
  Object.assign(container, rest)
  if (status === 'stopped') delete container.pid
  if (type !== 'container.started') return
  Object.assign(container, { pid, startedAt })
  for (const key of ['exitCode', 'oomKilled', 'finishedAt', 'stoppedByUser'] as const) delete container[key]
}

const describe = (saga: SagaState, events: readonly StoredEvent[], createdAt: string): Container => {
  const parsed = ContainerSpec.safeParse(saga.input)
  if (!parsed.success)
    throw unreadable(events[0]?.sequence ?? 0, `no container of saga ${saga.saga} version ${saga.version}`)
  const spec = parsed.data
  const address = Object.values(saga.steps).find((step) => step.output?.['address'])?.output?.['address'] as
    | string
    | undefined
  const container: Container = {
    id: spec.id,
    name: spec.name,
    node: spec.node,
    image: spec.image,
    status: statusOf(saga),
    createdAt,
    ...(address ? { address } : {}),
    spec,
    steps: saga.steps,
    sequence: events.at(-1)?.sequence ?? 0,
  }
  if (saga.cause) container.error = saga.cause
  if (saga.outcome === 'stuck' || saga.outcome === 'aborted') {
    container.leaked = Object.entries(saga.steps)
      .filter(([, { status }]) => !['idle', 'undone', 'skipped'].includes(status))
      .map(([step, { error }]) => ({ step, reason: error?.reason ?? 'what needs it is not undone' }))
  }
  if (saga.phase !== 'ended' || saga.outcome !== 'completed') return container
  Object.assign(container, initOf(saga))
  container.status = spec.start ? 'running' : 'created'
  const exited = new Set<string>()
  for (const event of events) live(container, event, exited)
  return container
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
    content,
    saga,
    answered: new Set(outcomes.map(({ event }) => event?.commandid ?? '')),
    startedBy: started?.commandid,
    unwoundBy: eventAt(lastOf('unwinding'))?.commandid,
    cancelledBy: eventAt(lastOf('cancelled'))?.commandid,
    container: saga && describe(saga, own, started?.time ?? ''),
    abandoned: given !== -1,
    changedAt: Date.parse(all.at(-1)?.event?.time ?? '') || 0,
  }
}

/** Reads and folds one container's log. */
export const readContainer = async (bus: Bus, id: string): Promise<ContainerLog> =>
  foldContainer(await bus.journal('container', id))

const typeOf = (record: SagaRecord, spec: ContainerSpec | undefined): string => {
  if (record.kind !== 'ended') return `saga.${record.kind}`
  const types = {
    completed: spec?.start === false ? 'container.created' : 'container.running',
    compensated: 'container.failed',
    undone: 'container.deleted',
    stuck: 'container.stuck',
    aborted: 'container.failed',
  }
  return types[record.outcome]
}

/** What an outcome says beside the record, for those who do not fold journals. */
const summary = (record: SagaRecord, before: JournalContent): Record<string, unknown> => {
  if (record.kind !== 'ended') return {}
  const entries = [...before.entries, { sequence: 0, messageId: '', record }]
  const saga = foldJournal({ entries, sequence: 0 })
  if (!saga) return {}
  const { id, name, node, image, status, pid, startedAt, address, error, leaked } = describe(saga, [], '')
  const cause =
    record.outcome === 'undone' || !error ? {} : { step: error.step, code: error.code, reason: error.reason }
  return { id, name, node, image, status, pid, startedAt, address, ...cause, leaked }
}

/** A container's event subject as the journal of its saga; outcomes carry the command that asked for them. */
export const containerJournal = ({ bus, id, commandId, content, log, signal }: JournalParts): Journal => {
  let known = content
  return {
    read: async () =>
      (known = await retrying(async () => (await readContainer(bus, id)).content, { signal, log })),
    append: async (record, { expectedSequence, messageId }) => {
      const begun = [...known.entries.map((entry) => entry.record), record].findLast(
        ({ kind }) => kind === 'started',
      )
      const spec = begun?.kind === 'started' ? ContainerSpec.safeParse(begun.input).data : undefined
      const event = {
        kind: 'container',
        id,
        type: typeOf(record, spec),
        messageId: `${id}:${messageId}`,
        commandId,
        data: { ...summary(record, known), record },
      }
      const { sequence } = await retrying(() => bus.append(event, expectedSequence), { signal, log })
      known = { entries: [...known.entries, { sequence, messageId, record }], sequence }
      return sequence
    },
  }
}

interface JournalParts {
  bus: Bus
  id: string
  commandId: string | undefined
  /** The journal as it was last read. */
  content: JournalContent
  log: Log
  signal: AbortSignal
}

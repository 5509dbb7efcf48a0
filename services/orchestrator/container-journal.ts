import type { Bus } from '../../shared/bus.ts'
import type { SagaRecord } from '../../shared/contracts/journal.ts'
import type { Log } from '../../shared/log.ts'
import { retrying } from '../../shared/retry.ts'
import { readContainer } from './container-log.ts'
import { describeContainer } from './container-state.ts'
import type { Journal, JournalContent } from './saga/journal.ts'
import { foldJournal } from './saga/ledger.ts'

interface JournalParts {
  bus: Bus
  id: string
  commandId: string | undefined
  /** The journal as it was last read. */
  content: JournalContent
  log: Log
  signal: AbortSignal
}

const typeOf = (record: SagaRecord, before: JournalContent): string => {
  if (record.kind !== 'ended') return `saga.${record.kind}`
  const begun = before.entries.map((entry) => entry.record).findLast(({ kind }) => kind === 'started')
  const types = {
    completed:
      begun?.kind === 'started' && begun.input['start'] === false ? 'container.created' : 'container.running',
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
  const { id, name, node, image, status, pid, startedAt, address, error, leaked, spec } = describeContainer(
    saga,
    [],
    '',
  )
  const binds = spec.mounts.filter(({ type }) => type === 'bind').map(({ source }) => source)
  const cause =
    record.outcome === 'undone' || !error ? {} : { step: error.step, code: error.code, reason: error.reason }
  return {
    id,
    name,
    node,
    image,
    status,
    pid,
    startedAt,
    address,
    ...cause,
    leaked,
    ...(spec.privileged ? { privileged: true } : {}),
    ...(binds.length > 0 ? { binds } : {}),
  }
}

/** A container's event subject as the journal of its saga; outcomes carry the command that asked for them. */
export const containerJournal = ({ bus, id, commandId, content, log, signal }: JournalParts): Journal => {
  let known = content
  return {
    read: async () =>
      (known = await retrying(async () => (await readContainer(bus, id)).content, { signal, log })),
    append: async (record, { expectedSequence, messageId }) => {
      const event = {
        kind: 'container',
        id,
        type: typeOf(record, known),
        messageId: `${id}:${messageId}`,
        commandId,
        data: { ...summary(record, known), record },
      }
      const { sequence } = await retrying(() => bus.append(event, expectedSequence), { signal, log })
      known = { entries: [...known.entries, { sequence, messageId, record }], sequence }
      // Whoever drives the saga shall not learn it from its next append.
      if (record.kind === 'cancelled') bus.hintAt(id)
      return sequence
    },
  }
}

import { SagaRecord } from '../../../../shared/contracts/journal.ts'
import { printJson, printLine } from '../../output/print.ts'
import { table } from '../../output/table.ts'
import { journalOf } from '../bus/journal.ts'
import { withSession } from '../bus/session.ts'

const longest = 120

const wordsOf = (data: unknown): string => {
  const { record, reason } = (typeof data === 'object' && data !== null ? data : {}) as {
    record?: unknown
    reason?: unknown
  }
  const parsed = SagaRecord.safeParse(record)
  if (!parsed.success) return typeof reason === 'string' ? reason : JSON.stringify(record ?? data)
  const saga = parsed.data
  const steps = 'transitions' in saga ? saga.transitions : []
  return [
    ...('outcome' in saga ? [saga.outcome] : []),
    ...('reason' in saga ? [saga.reason] : []),
    ...steps.map((step) => `${step.step} ${step.status}${'error' in step ? ` (${step.error.reason})` : ''}`),
  ].join(', ')
}

/** `dolly saga show`: every record of a container's journal, also of one that cannot be folded. */
export const showSaga = async (container: string, { json }: { json?: boolean }): Promise<void> => {
  const records = await withSession(({ bus }) => journalOf(bus, container))
  if (json) return printJson(records)
  const rows = records.map(({ sequence, time, type, data }) => [
    String(sequence),
    time ?? '-',
    type,
    wordsOf(data).slice(0, longest),
  ])
  printLine(table(['SEQUENCE', 'TIME', 'EVENT', 'WHAT'], rows))
}

import type { z } from 'zod'
import { verbs } from '../../../../shared/contracts/verbs.ts'
import { printJson, printLine } from '../../output/print.ts'
import { table } from '../../output/table.ts'
import { askPages } from '../bus/ask.ts'
import { withSession } from '../bus/session.ts'

export type SagaSummary = z.output<typeof verbs.sagaRetry.output>

/** Why a saga stands where it does: each resource that is left with its reason, else the failure. */
export const reasonLines = ({ error, leaked = [] }: SagaSummary): string[] => {
  const left = leaked.map(({ step, reason }) => `${step}: ${reason}`)
  return left.length > 0 ? left : error ? [error.reason] : []
}

/** `dolly saga ls`. */
export const listSagas = async ({ all = false, json }: { all?: boolean; json?: boolean }): Promise<void> => {
  const pages = await withSession(({ bus }) => askPages(bus, verbs.sagaList, { all }))
  const sagas = pages.flatMap((page) => page.sagas)
  if (json) return printJson(sagas)
  const rows = sagas.map((saga) => [
    saga.id,
    saga.name,
    saga.node,
    saga.status,
    (saga.leaked ?? []).map(({ step }) => step).join(',') || '-',
    saga.error?.reason ?? '',
  ])
  printLine(table(['CONTAINER ID', 'NAME', 'NODE', 'STATUS', 'LEFT', 'REASON'], rows))
}

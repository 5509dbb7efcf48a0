import type { TranscriptEntry } from '../../shared/recorder.ts'
import { equivalentOf } from './equivalent.ts'
import type { Operation } from './operation.ts'
import { type Outcome, errnoText } from './report.ts'

const sourcesOf = (plan: readonly Operation[]): Map<string, string> =>
  new Map(
    plan.flatMap(([name, slot = '', source = '']) => (name === 'tree' ? [[slot, source] as const] : [])),
  )

/**
 * The plan and what the native program reports of it, as entries of the container's record: each call
 * with the shell command that would do the same. The wait for the start is no work and left out.
 */
export const transcriptOf = (plan: readonly Operation[], report: readonly Outcome[]): TranscriptEntry[] => {
  const sources = sourcesOf(plan)
  return report.flatMap(({ index, errno, nanoseconds, detail }) => {
    const operation = plan[index]
    if (!operation || (operation[0] === 'wait' && errno === 0)) return []
    const equivalent = equivalentOf(operation, sources)
    const entry: TranscriptEntry = {
      kind: 'call',
      equivalent: equivalent ?? operation.join(' '),
      durationMs: Math.round(nanoseconds / 1000) / 1000,
    }
    if (errno !== 0)
      return [{ ...entry, error: detail ? `${errnoText(errno)}: ${detail}` : errnoText(errno) }]
    return equivalent === undefined ? [] : [entry]
  })
}

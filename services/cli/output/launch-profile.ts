import type { z } from 'zod'
import { SagaRecord, type Transition } from '../../../shared/contracts/journal.ts'
import type { verbs } from '../../../shared/contracts/verbs.ts'
import type { TranscriptEntry } from '../../../shared/recorder.ts'

type JournalRecord = z.infer<typeof verbs.sagaShow.output>['records'][number]
type Outcome = Extract<SagaRecord, { kind: 'ended' }>['outcome']

/** One step of a phase, in milliseconds since the run that did it began; `work` is what its service did for it. */
export interface StepProfile {
  step: string
  status: Transition['status']
  startedMs: number | undefined
  durationMs: number
  work: TranscriptEntry[]
}

/**
 * The making of a container, or its removal; `durationMs` is from its first record to its last, or until its last
 * step had ended: the clock of day may be set meanwhile, a step's own is not.
 */
export interface PhaseProfile {
  outcome: Outcome | 'under way'
  startedAt: string
  durationMs: number
  steps: StepProfile[]
}

const recordOf = (data: unknown): SagaRecord | undefined =>
  SagaRecord.safeParse((data as { record?: unknown } | null)?.record).data

const stepsOf = (record: SagaRecord): StepProfile[] =>
  ('transitions' in record ? record.transitions : []).flatMap((transition) =>
    'durationMs' in transition && transition.durationMs !== undefined
      ? [
          {
            step: transition.step,
            status: transition.status,
            startedMs: transition.startedMs,
            durationMs: transition.durationMs,
            work: transition.transcript ?? [],
          },
        ]
      : [],
  )

const endMs = ({ startedMs = 0, durationMs }: StepProfile): number => Math.ceil(startedMs + durationMs)

/** What a container's journal says of where its time went: its making, and its removal when there was one. */
export const phasesOf = (records: readonly JournalRecord[]): PhaseProfile[] => {
  const phases: PhaseProfile[] = []
  for (const { time, data } of records) {
    const record = recordOf(data)
    if (!record || time === null) continue
    if (record.kind === 'started' || record.kind === 'unwinding')
      phases.push({ outcome: 'under way', startedAt: time, durationMs: 0, steps: [] })
    const phase = phases.at(-1)
    if (!phase) continue
    phase.steps.push(...stepsOf(record))
    phase.durationMs = Date.parse(time) - Date.parse(phase.startedAt)
    if (record.kind === 'ended') phase.outcome = record.outcome
  }
  return phases.map((phase) => ({
    ...phase,
    durationMs: Math.max(phase.durationMs, ...phase.steps.map(endMs)),
    steps: phase.steps.toSorted((a, b) => (a.startedMs ?? 0) - (b.startedMs ?? 0)),
  }))
}

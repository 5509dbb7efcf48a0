import { z } from 'zod'
import type { TranscriptEntry } from '../recorder.ts'

export const StepName = z.string()

const Reason = z.object({ code: z.string(), reason: z.string() })
const transcript = z.array(z.custom<TranscriptEntry>()).optional()
/** Milliseconds: since the run that did it began, and from the first request to the last reply. */
const timing = { startedMs: z.number().optional(), durationMs: z.number().optional() }

/** One transition of one step; a journal record holds those that were appended together. */
export const Transition = z.discriminatedUnion('status', [
  z.object({ step: StepName, status: z.literal('doing') }),
  z.object({
    step: StepName,
    status: z.literal('done'),
    output: z.record(z.string(), z.unknown()),
    transcript,
    ...timing,
  }),
  z.object({ step: StepName, status: z.literal('failed'), error: Reason, transcript, ...timing }),
  z.object({ step: StepName, status: z.literal('undoing') }),
  z.object({ step: StepName, status: z.literal('undone'), transcript, ...timing }),
  z.object({ step: StepName, status: z.literal('leaked'), error: Reason, transcript, ...timing }),
  z.object({ step: StepName, status: z.literal('skipped'), error: Reason }),
])
export type Transition = z.infer<typeof Transition>

const owned = { n: z.number().int(), owner: z.string() }

/**
 * One append to a saga's journal. `n` counts a saga's records without a gap; `owner` is the run that
 * appended it: whoever started or resumed last drives the saga, everyone else has lost it.
 */
export const SagaRecord = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('started'),
    ...owned,
    saga: z.string(),
    version: z.number().int(),
    input: z.record(z.string(), z.unknown()),
    deadline: z.string(),
    transitions: z.array(Transition),
  }),
  /** What was done and steps to come need is `doing` again: the host may have lost it. */
  z.object({ kind: z.literal('resumed'), ...owned, transitions: z.array(Transition).default([]) }),
  z.object({ kind: z.literal('progressed'), ...owned, transitions: z.array(Transition) }),
  /** Someone wants the saga to end: the forward phase turns into compensation. */
  z.object({ kind: z.literal('cancelled'), ...owned, reason: z.string() }),
  /** The reverse of the journal begins: after completion (delete), or again after `stuck` (retry). */
  z.object({ kind: z.literal('unwinding'), ...owned, reason: z.string(), transitions: z.array(Transition) }),
  z.object({
    kind: z.literal('ended'),
    ...owned,
    outcome: z.enum(['completed', 'compensated', 'undone', 'stuck', 'aborted']),
    transitions: z.array(Transition),
  }),
])
export type SagaRecord = z.infer<typeof SagaRecord>

import { z } from 'zod'
import type { TranscriptEntry } from '../recorder.ts'

export const StepName = z.string()

const Reason = z.object({ code: z.string(), reason: z.string() })
const transcript = z.array(z.custom<TranscriptEntry>()).optional()
const durationMs = z.number().optional()

/** One transition of one step; a journal record holds those that were appended together. */
export const Transition = z.discriminatedUnion('status', [
  z.object({ step: StepName, status: z.literal('doing'), attempt: z.number().int() }),
  z.object({
    step: StepName,
    status: z.literal('done'),
    output: z.record(z.string(), z.unknown()),
    transcript,
    durationMs,
  }),
  z.object({ step: StepName, status: z.literal('failed'), error: Reason, transcript, durationMs }),
  z.object({ step: StepName, status: z.literal('undoing'), attempt: z.number().int() }),
  z.object({ step: StepName, status: z.literal('undone'), transcript, durationMs }),
  z.object({ step: StepName, status: z.literal('leaked'), error: Reason, transcript, durationMs }),
  z.object({ step: StepName, status: z.literal('skipped'), error: Reason }),
])
export type Transition = z.infer<typeof Transition>

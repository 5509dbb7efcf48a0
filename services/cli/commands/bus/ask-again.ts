import type { z } from 'zod'
import type { Bus } from '../../../../shared/bus.ts'
import type { Verb } from '../../../../shared/contracts/verbs.ts'
import { Failure, type FailureCode } from '../../../../shared/failure.ts'
import { retrying } from '../../../../shared/retry.ts'
import { ask } from './ask.ts'

/** A bus, an orchestrator or a service that is away for longer is not waited for. */
const patientMs = 45_000
const lost: readonly FailureCode[] = ['unavailable', 'timeout']

/** Asks a verb that may be asked twice, again while nobody answers. Throws as `ask` does. */
export const askAgain = <In extends z.ZodType, Out extends z.ZodType>(
  bus: Bus,
  verb: Verb<In, Out>,
  input: z.input<In>,
  timeoutMs: number,
): Promise<z.output<Out>> =>
  retrying(() => ask(bus, verb, input, { timeoutMs }), {
    signal: AbortSignal.timeout(patientMs),
    only: ({ code }) => lost.includes(code),
  })

/** Of a removal that others answer within milliseconds. */
const removedWithinMs = 5000

/** Asks to remove something, again when the answer is lost: whatever is not there then has been removed. Throws as `ask` does. */
export const askRemoval = async <In extends z.ZodType, Out extends z.ZodType>(
  bus: Bus,
  verb: Verb<In, Out>,
  input: z.input<In>,
): Promise<void> => {
  try {
    await ask(bus, verb, input, { timeoutMs: removedWithinMs })
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'timeout') throw error
    await askAgain(bus, verb, input, removedWithinMs).catch((second: unknown) => {
      if (!(second instanceof Failure) || second.code !== 'not_found') throw second
    })
  }
}

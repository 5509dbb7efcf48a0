import type { StepContract } from '../../../shared/contracts/contract.ts'
import type { Transition } from '../../../shared/contracts/journal.ts'
import { Failure } from '../../../shared/failure.ts'
import type { TranscriptEntry } from '../../../shared/recorder.ts'
import type { RequestMeta } from '../../../shared/request-meta.ts'
import { backoffMs } from '../../../shared/retry.ts'
import type { Step } from './definition.ts'

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Milliseconds of a clock that never jumps. */
  elapsed(): number
  /** Resolves after the time, or at once when the signal aborts. */
  delay(ms: number, signal: AbortSignal): Promise<void>
}

/** One request to do or undo a step. */
export interface StepRequest {
  contract: StepContract
  direction: 'do' | 'undo'
  input: Record<string, unknown>
  timeoutMs: number
  /** Journal sequence at which the run took the saga, or turned it backward: older requests are refused. */
  fence: number
  /** The first attempt of a run that began the saga or its reverse, and did not take it over. */
  first: boolean
  /** Where whoever carries it out shall crash, when a fault is injected. */
  inject?: RequestMeta['inject']
  signal: AbortSignal
}

/** Carries requests to whoever owns the step's resource. Throws `Failure`. */
export interface Executor {
  act(request: StepRequest): Promise<{ output: Record<string, unknown>; transcript: TranscriptEntry[] }>
  /** Tells whoever owns the step's resource that it will be asked to make it; it may go unheard. */
  prepare?(request: Pick<StepRequest, 'contract' | 'input' | 'fence'>): void
}

interface Performance {
  step: Step
  direction: 'do' | 'undo'
  input: Record<string, unknown>
  fence: number
  /** Whether the run began the saga or its reverse, and did not take it over. */
  fresh: boolean
  executor: Executor
  clock: Clock
  /** When the run began, by `clock.elapsed`. */
  origin: number
  /** False once nobody wants the step done any more: it is not tried again. */
  wanted: () => boolean
  /** Throws when the run has lost its saga: a service that was restarted no longer knows whom to refuse. */
  confirm: () => Promise<void>
  signal: AbortSignal
}

const transcriptOf = ({ details }: Failure): TranscriptEntry[] | undefined =>
  details['transcript'] as TranscriptEntry[] | undefined

const failed = (step: string, direction: 'do' | 'undo', failure: Failure, timing: Timing): Transition => ({
  step,
  status: direction === 'do' ? 'failed' : 'leaked',
  error: { code: failure.code, reason: failure.message },
  transcript: transcriptOf(failure),
  ...timing,
})

interface Timing {
  startedMs: number
  durationMs: number
}

const microseconds = (ms: number): number => Math.round(ms * 1000) / 1000

/**
 * Does or undoes one step, trying again as the step allows: `do` after retryable failures, `undo` after
 * any. A service that is away costs no attempt, only time. Throws when the signal aborts, and `Lost`.
 */
export const perform = async ({
  step,
  direction,
  input,
  fence,
  fresh,
  executor,
  clock,
  origin,
  wanted,
  confirm,
  signal,
}: Performance): Promise<Transition> => {
  const { contract } = step
  const begun = clock.elapsed()
  const timing = (): Timing => ({
    startedMs: microseconds(begun - origin),
    durationMs: microseconds(clock.elapsed() - begun),
  })
  const deadline = clock.now() + (direction === 'do' ? step.timeoutMs : step.undoTimeoutMs)
  const attempts = direction === 'do' ? step.attempts : step.undoAttempts
  let spent = 0
  for (let tries = 1; ; tries++) {
    signal.throwIfAborted()
    try {
      const timeoutMs = Math.max(1, deadline - clock.now())
      const { output, transcript } = await executor.act({
        contract,
        direction,
        input,
        fence,
        first: fresh && tries === 1,
        timeoutMs,
        signal,
      })
      if (direction === 'undo') return { step: contract.name, status: 'undone', transcript, ...timing() }
      return { step: contract.name, status: 'done', output, transcript, ...timing() }
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof Failure)) throw error
      if (error.code !== 'unavailable') spent += 1
      const mayHelp = direction === 'undo' || (error.retryable && wanted())
      if (!mayHelp || spent >= attempts || clock.now() >= deadline) {
        return failed(contract.name, direction, error, timing())
      }
    }
    await clock.delay(Math.min(backoffMs(tries), Math.max(0, deadline - clock.now())), signal)
    signal.throwIfAborted()
    await confirm()
  }
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  delay: (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const timer = setTimeout(resolve, ms)
      signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true })
    }),
}

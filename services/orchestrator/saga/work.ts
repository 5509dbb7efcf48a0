import type { Transition } from '../../../shared/contracts/journal.ts'
import type { Saga, Step } from './definition.ts'
import type { Ledger } from './ledger.ts'
import { type Clock, type Executor, perform } from './perform.ts'
import { type SagaState, apply, inputOf } from './state.ts'

/** How long results may wait for the next intent before they are journaled by themselves. */
const lingerMs = 25

interface WorkParts {
  definition: Saga
  ledger: Ledger
  executor: Executor
  clock: Clock
  signal: AbortSignal
}

/** The steps a run has under way, and their results until the journal has them. */
export const createWork = ({ definition, ledger, executor, clock, signal }: WorkParts) => {
  const inFlight = new Set<string>()
  const results: Transition[] = []
  let changed = Promise.withResolvers<void>()
  let bug: unknown

  const wake = (): void => {
    changed.resolve()
    changed = Promise.withResolvers()
  }

  return {
    results,
    wake,
    isIdle: ({ contract: { name } }: Step): boolean => !inFlight.has(name),
    get count() {
      return inFlight.size
    },
    begin: (step: Step, direction: 'do' | 'undo'): void => {
      const { name } = step.contract
      inFlight.add(name)
      const wanted = () => direction === 'undo' || ledger.current().phase === 'forward'
      const input = inputOf(step, ledger.current())
      perform({
        step,
        direction,
        input,
        fence: ledger.fence,
        fresh: ledger.fresh,
        executor,
        clock,
        wanted,
        confirm: ledger.refresh,
        signal,
      })
        .then((transition) => results.push(transition))
        .catch((error: unknown) => {
          if (!signal.aborted) bug = error
        })
        .finally(() => {
          inFlight.delete(name)
          wake()
        })
    },
    /** Steps whose intent is journaled, whose result is not, and which nobody works on: left by a crash. */
    inDoubt: (status: 'doing' | 'undoing'): Step[] =>
      definition.steps.filter(
        ({ contract: { name } }) =>
          ledger.current().steps[name]?.status === status &&
          !inFlight.has(name) &&
          !results.some((result) => result.step === name),
      ),
    /** The state as it will be once the results at hand are journaled. */
    foreseen: (): SagaState =>
      results.reduce((before, result) => {
        const record = {
          kind: 'progressed' as const,
          n: before.n + 1,
          owner: before.owner,
          transitions: [result],
        }
        return apply(before, record)
      }, ledger.current()),
    /** Waits for a result or a wake-up; answers true when results have waited long enough to be journaled. */
    linger: async (): Promise<boolean> => {
      const waiting = results.length
      const ended = new AbortController()
      await Promise.race([changed.promise, ...(waiting > 0 ? [clock.delay(lingerMs, ended.signal)] : [])])
      ended.abort()
      if (bug) throw bug
      return waiting > 0 && results.length === waiting
    },
  }
}

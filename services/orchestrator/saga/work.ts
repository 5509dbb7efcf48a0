import type { Transition } from '../../../shared/contracts/journal.ts'
import type { Step } from './definition.ts'
import type { Ledger } from './ledger.ts'
import { type Clock, type Executor, perform } from './perform.ts'
import { type SagaState, apply, inputOf } from './state.ts'

/** How long results may wait for the outcome before they are journaled by themselves. */
const lingerMs = 500

interface WorkParts {
  ledger: Ledger
  executor: Executor
  clock: Clock
  signal: AbortSignal
}

/** The steps a run has under way, and their results until the journal has them. */
export const createWork = ({ ledger, executor, clock, signal }: WorkParts) => {
  const origin = clock.elapsed()
  const inFlight = new Set<string>()
  const begun = new Set<string>()
  const results: Transition[] = []
  let changed = Promise.withResolvers<void>()
  let bug: unknown

  const wake = (): void => {
    changed.resolve()
    changed = Promise.withResolvers()
  }

  /** The state as it will be once the results at hand are journaled. */
  const foreseen = (): SagaState =>
    results.reduce((before, result) => {
      const record = {
        kind: 'progressed' as const,
        n: before.n + 1,
        owner: before.owner,
        transitions: [result],
      }
      return apply(before, record)
    }, ledger.current())

  const changedOrOver = async (): Promise<boolean | void> => {
    const ended = new AbortController()
    const over = clock.delay(lingerMs, ended.signal).then(() => !ended.signal.aborted)
    const isOver = await Promise.race([changed.promise, over])
    ended.abort('no longer waited for') // without a reason an exception is made, which takes longer than the rest
    return isOver
  }

  return {
    results,
    wake,
    get count() {
      return inFlight.size
    },
    begin: (step: Step, direction: 'do' | 'undo'): void => {
      const { name } = step.contract
      inFlight.add(name)
      begun.add(name)
      const wanted = () => direction === 'undo' || ledger.current().phase === 'forward'
      const input = inputOf(step, foreseen())
      perform({
        step,
        direction,
        input,
        fence: ledger.fence,
        fresh: ledger.fresh,
        executor,
        clock,
        origin,
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
    /** Tells the services of steps that wait for others what will be asked of them. */
    prepare: (steps: readonly Step[]): void => {
      for (const { contract, needs } of steps) {
        if (!contract.prepareVerb || needs.length === 0) continue
        begun.add(contract.name)
        executor.prepare?.({ contract, input: ledger.current().input, fence: ledger.fence })
      }
    },
    foreseen,
    /** Whether nobody works on the step and no result of it waits. */
    isIdle: ({ contract: { name } }: Step): boolean =>
      !inFlight.has(name) && !results.some((result) => result.step === name),
    /** Whether a step is still being done. */
    isDoing: (): boolean => [...inFlight].some((name) => ledger.current().steps[name]?.status === 'doing'),
    /** Takes back the intents of steps that were never begun: there is nothing to undo. */
    withdraw: (steps: readonly Step[]): void => {
      const seen = foreseen().steps
      for (const { contract } of steps)
        if (seen[contract.name]?.status === 'doing' && !begun.has(contract.name))
          results.push({ step: contract.name, status: 'undone' })
    },
    /** Waits for a result or a wake-up; answers true when results have waited long enough to be journaled. */
    linger: async (): Promise<boolean> => {
      const isOver = results.length > 0 ? await changedOrOver() : await changed.promise
      if (bug) throw bug
      return isOver === true
    },
  }
}

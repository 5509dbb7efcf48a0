import type { Transition } from '../../../shared/contracts/journal.ts'
import { Failure } from '../../../shared/failure.ts'
import type { Saga, Step } from './definition.ts'
import type { Journal, JournalContent } from './journal.ts'
import { Lost, type NewRecord, createLedger } from './ledger.ts'
import type { Clock, Executor } from './perform.ts'
import { type SagaState, groundwork, isGrounded, readyBackward, readyForward, remaining } from './state.ts'
import { createWork } from './work.ts'

/** What a run works with. `owner` is unique to the run; a takeover has another. */
export interface RunParts {
  definition: Saga
  journal: Journal
  executor: Executor
  clock: Clock
  owner: string
}

type Record = (transitions: Transition[]) => NewRecord

const intended = (steps: readonly Step[], direction: 'do' | 'undo' = 'do'): Transition[] =>
  steps.map(({ contract: { name } }) => ({ step: name, status: direction === 'do' ? 'doing' : 'undoing' }))

const progressed: Record = (transitions) => ({ kind: 'progressed', transitions })

/**
 * Drives one saga to rest: every intent is in the journal before its request leaves, every append
 * expects the journal as this run last read it. Throws `Lost` when another run has taken over.
 */
export const createRun = (
  { definition, journal, executor, clock, owner }: RunParts,
  content: JournalContent,
) => {
  const stop = new AbortController()
  const ledger = createLedger(journal, owner, content)
  const work = createWork({ definition, ledger, executor, clock, signal: stop.signal })

  /** Journals the results at hand and the intents; only then do the intents' requests leave. */
  const journaled = async (
    record: Record,
    steps: Step[] = [],
    direction: 'do' | 'undo' = 'do',
  ): Promise<void> => {
    const taken = work.results.slice()
    if (!(await ledger.append(record([...taken, ...intended(steps, direction)])))) return
    work.results.splice(0, taken.length)
    for (const step of steps) work.begin(step, direction)
  }

  const ready = (seen: SagaState, now: number): Step[] => {
    if (seen.phase === 'forward') return now > seen.deadline ? [] : readyForward(definition, seen)
    const stillDoing = definition.steps.some(
      (step) => !work.isIdle(step) && ledger.current().steps[step.contract.name]?.status === 'doing',
    )
    return stillDoing ? [] : readyBackward(definition, seen)
  }

  const rest = async (seen: SagaState, now: number): Promise<void> => {
    const ended = (outcome: NonNullable<SagaState['outcome']>) =>
      journaled((transitions) => ({ kind: 'ended', outcome, transitions }))
    if (seen.phase === 'backward') {
      if (remaining(definition, seen).length > 0) return ended('stuck')
      return ended(seen.rested ? 'undone' : 'compensated')
    }
    if (definition.steps.every(({ contract: { name } }) => seen.steps[name]?.status === 'done'))
      return ended('completed')
    if (now <= seen.deadline) throw new Error(`saga ${definition.name} can neither go on nor end`)
    await ledger.append({ kind: 'cancelled', reason: 'the overall deadline has passed' })
  }

  /** One round: relaunch what a crash left, begin what is ready, come to rest, or wait for a result. */
  const advance = async (): Promise<void> => {
    const forward = ledger.current().phase === 'forward'
    const doubtful = work.inDoubt(forward ? 'doing' : 'undoing')
    const begun = doubtful.filter((step) => !forward || isGrounded(step, ledger.current()))
    for (const step of begun) work.begin(step, forward ? 'do' : 'undo')
    // What they need has been done again, and only the journal hands its output on.
    if (work.count === 0 && work.results.length > 0 && begun.length < doubtful.length)
      return journaled(progressed)
    const seen = work.foreseen()
    const now = clock.now()
    const steps = ready(seen, now).filter(work.isIdle)
    if (steps.length > 0) return journaled(progressed, steps, seen.phase === 'forward' ? 'do' : 'undo')
    if (work.count === 0) return rest(seen, now)
    if (await work.linger()) await journaled(progressed)
  }

  const halt = (reason: string): void => {
    stop.abort(new Failure('interrupted', reason))
    work.wake()
  }

  return {
    get state() {
      return ledger.state
    },
    /** Begins a saga that the journal does not know, or that is at rest undone; answers false when another came first. */
    start: async (input: { [key: string]: unknown }): Promise<boolean> => {
      const first = definition.steps.filter(({ needs }) => needs.length === 0)
      const deadline = new Date(clock.now() + definition.deadlineMs).toISOString()
      const transitions = intended(first)
      const { name: saga, version } = definition
      if (!(await ledger.append({ kind: 'started', saga, version, input, deadline, transitions })))
        return false
      for (const step of first) work.begin(step, 'do')
      return true
    },
    /**
     * Takes over a saga that is not at rest: whoever drove it is fenced from here on. What steps to come need
     * is done again: it may be a reboot that ended the last run, and with it all that was in the kernel.
     */
    resume: () =>
      ledger.append({ kind: 'resumed', transitions: intended(groundwork(definition, ledger.current())) }),
    /** Begins the reverse of a saga at rest; `skipped` steps are left as they are, on an operator's word. */
    unwind: (reason: string, skipped: Transition[] = []) =>
      ledger.append({ kind: 'unwinding', reason, transitions: skipped }),
    /** Asks whoever drives the saga to compensate. */
    cancel: (reason: string) => ledger.append({ kind: 'cancelled', reason }),
    /** Gives up a saga at rest: what is left is left, and the journal says so. */
    abort: async (reason: string): Promise<boolean> =>
      (await ledger.append({ kind: 'unwinding', reason, transitions: [] })) &&
      ledger.append({ kind: 'ended', outcome: 'aborted', transitions: [] }),
    /** Drives until the saga is at rest. */
    toRest: async (): Promise<SagaState> => {
      try {
        while (ledger.current().phase !== 'ended') {
          if (stop.signal.aborted) throw new Lost(`run ${owner} was stopped`)
          await advance()
        }
        return ledger.current()
      } finally {
        halt('the run has ended')
      }
    },
    /** Looks at the journal again before waiting on: someone else has appended to it. */
    refresh: async (): Promise<void> => {
      if (stop.signal.aborted) return
      await ledger.refresh().catch((error: unknown) => {
        if (!(error instanceof Lost)) throw error
        halt('the saga is driven by another run')
      })
      work.wake()
    },
    /** Stops driving without a word in the journal; another run can resume. */
    stop: () => halt('the run was stopped'),
  }
}

export type Run = ReturnType<typeof createRun>

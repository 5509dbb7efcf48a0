import type { Transition } from '../../../shared/contracts/journal.ts'
import { Failure } from '../../../shared/failure.ts'
import type { Saga, Step } from './definition.ts'
import type { Journal, JournalContent } from './journal.ts'
import { Lost, type NewRecord, createLedger } from './ledger.ts'
import type { Clock, Executor } from './perform.ts'
import { type SagaState, groundwork, ready, remaining, unintended } from './state.ts'
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

/** Journaled for all steps at once: what a crash leaves of them is found, or undone, whichever had begun. */
const intended = (steps: readonly Step[], direction: 'do' | 'undo' = 'do'): Transition[] =>
  steps.map(({ contract: { name } }) => ({ step: name, status: direction === 'do' ? 'doing' : 'undoing' }))

/** Whoever has not heard of the journal for longer looks again before it begins a step: it may have been replaced. */
const freshMs = 250

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
  const ledger = createLedger(journal, owner, content, clock)
  const work = createWork({ ledger, executor, clock, signal: stop.signal })

  /** Whether this run began the saga, so that no other has begun a step of it. */
  let first = false

  /** Journals the results at hand and the intents. */
  const journaled = async (record: Record, intents: Transition[] = []): Promise<void> => {
    const taken = work.results.slice()
    if (await ledger.append(record([...taken, ...intents]))) work.results.splice(0, taken.length)
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

  /** One round: journal the intents that are missing, begin what is ready, come to rest, or wait for a result. */
  const advance = async (): Promise<void> => {
    const forward = work.foreseen().phase === 'forward'
    const now = clock.now()
    if (!forward && work.isDoing()) {
      if (await work.linger()) await journaled(progressed)
      return
    }
    if (!forward && first) work.withdraw(definition.steps)
    const seen = work.foreseen()
    if (!forward || now <= seen.deadline) {
      const lacking = unintended(definition, seen)
      if (lacking.length > 0) return journaled(progressed, intended(lacking, forward ? 'do' : 'undo'))
      const steps = ready(definition, seen).filter(work.isIdle)
      if (steps.length > 0 && ledger.ageMs() > freshMs) return ledger.refresh()
      for (const step of steps) work.begin(step, forward ? 'do' : 'undo')
    }
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
      const deadline = new Date(clock.now() + definition.deadlineMs).toISOString()
      const transitions = intended(definition.steps)
      const { name: saga, version } = definition
      first = await ledger.append({ kind: 'started', saga, version, input, deadline, transitions })
      if (first) work.prepare(definition.steps)
      return first
    },
    /**
     * Takes over a saga that is not at rest: whoever drove it is fenced from here on. What steps to come need
     * is done again: it may be a reboot that ended the last run, and with it all that was in the kernel.
     */
    resume: () =>
      ledger.append({ kind: 'resumed', transitions: intended(groundwork(definition, ledger.current())) }),
    /** Begins the reverse of a saga at rest; `skipped` steps are left as they are, on an operator's word. */
    unwind: (reason: string, skipped: Transition[] = []) => {
      const left = unintended(definition, ledger.current()).filter(
        ({ contract: { name } }) => !skipped.some(({ step }) => step === name),
      )
      return ledger.append({
        kind: 'unwinding',
        reason,
        transitions: [...skipped, ...intended(left, 'undo')],
      })
    },
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
        if (work.count > 0) halt('the run has ended')
      }
    },
    /** Looks at the journal again before waiting on: someone else has appended to it. */
    refresh: async (): Promise<void> => {
      if (stop.signal.aborted) return
      await ledger.refresh().catch((error: unknown) => {
        if (error instanceof Lost) return halt('the saga is driven by another run')
        if (!(error instanceof Failure)) throw error // else it meets that itself when it goes on
      })
      work.wake()
    },
    /** Stops driving without a word in the journal; another run can resume. */
    stop: () => halt('the run was stopped'),
  }
}

export type Run = ReturnType<typeof createRun>

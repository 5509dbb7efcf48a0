import type { SagaRecord, Transition } from '../../../shared/contracts/journal.ts'
import { Failure } from '../../../shared/failure.ts'
import type { Saga, Step } from './definition.ts'
import type { Journal, JournalContent } from './journal.ts'
import { type Executor, type Clock, perform } from './perform.ts'
import { type SagaState, apply, inputOf, readyBackward, readyForward, remaining } from './state.ts'

type Unnumbered<R> = R extends unknown ? Omit<R, 'n' | 'owner'> : never

/** What a run works with. `owner` is unique to the run; a takeover has another. */
export interface RunParts {
  definition: Saga
  journal: Journal
  executor: Executor
  clock: Clock
  owner: string
  /** Called after every append that this run made. */
  onRecord?: (record: SagaRecord, state: SagaState) => void
}

/** The run has lost its saga: another run drives it now, or it must stop. Nothing was sent since. */
export class Lost extends Error {
  override readonly name = 'Lost'
}

/** How long results may wait for the next intent before they are journaled by themselves. */
const lingerMs = 25

/** The fold of a journal. Throws `Failure` (`invalid_message`) that names the sequence at fault. */
export const foldJournal = ({ entries }: JournalContent): SagaState | undefined => {
  let state: SagaState | undefined
  for (const { sequence, record } of entries) {
    try {
      state = apply(state, record)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      throw new Failure(error.code, `sequence ${sequence}: ${error.message}`, {
        cause: error,
        details: { sequence },
      })
    }
  }
  return state
}

/**
 * Drives one saga to rest: every intent is in the journal before its request leaves, every append
 * expects the journal as this run last read it. Throws `Lost` when another run has taken over.
 */
export const createRun = (
  { definition, journal, executor, clock, owner, onRecord }: RunParts,
  content: JournalContent,
) => {
  let { sequence } = content
  let state = foldJournal(content)
  const stop = new AbortController()
  const inFlight = new Set<string>()
  const results: Transition[] = []
  let changed = Promise.withResolvers<void>()
  let bug: unknown
  let fence = sequence

  const poke = () => {
    changed.resolve()
    changed = Promise.withResolvers()
  }

  const lose = (): never => {
    stop.abort(new Failure('interrupted', 'the saga is driven by another run'))
    throw new Lost(`run ${owner} has lost its saga`)
  }

  const current = (): SagaState => {
    if (!state) throw new Error('the saga has not begun')
    return state
  }

  /** Appends, or takes in what came first; answers whether the record is in the journal. */
  const tryAppend = async (partial: Unnumbered<SagaRecord>): Promise<boolean> => {
    const n = partial.kind === 'started' ? (state?.n ?? 0) + 1 : current().n + 1
    const record = { ...partial, n, owner } as SagaRecord
    const messageId = `${n}:${owner}:${sequence}`
    try {
      sequence = await journal.append(record, { expectedSequence: sequence, messageId })
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'stale') throw error
      const latest = await journal.read()
      const mine = latest.entries.some((entry) => entry.messageId === messageId)
      const held = state
      state = foldJournal(latest)
      sequence = latest.sequence
      if (!mine && held && state?.owner !== held.owner) lose()
      if (!mine) return false
    }
    const before = state?.phase
    if (state?.n !== n) state = apply(state, record)
    if (partial.kind !== 'progressed' || before !== current().phase) fence = sequence
    onRecord?.(record, current())
    return true
  }

  const launch = (step: Step, direction: 'do' | 'undo') => {
    const { name } = step.contract
    inFlight.add(name)
    const wanted = () => direction === 'undo' || current().phase === 'forward'
    perform({
      step,
      direction,
      input: inputOf(step, current()),
      fence,
      executor,
      clock,
      wanted,
      signal: stop.signal,
    })
      .then((transition) => results.push(transition))
      .catch((error: unknown) => {
        if (!stop.signal.aborted) bug = error
      })
      .finally(() => {
        inFlight.delete(name)
        poke()
      })
  }

  /** Steps whose intent is journaled but whose result is not, and which nobody works on: left by a crash. */
  const inDoubt = (status: 'doing' | 'undoing') =>
    definition.steps.filter(
      ({ contract: { name } }) =>
        current().steps[name]?.status === status &&
        !inFlight.has(name) &&
        !results.some((result) => result.step === name),
    )

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
    }, current())

  const intents = (seen: SagaState, now: number): { steps: Step[]; direction: 'do' | 'undo' } => {
    const idle = ({ contract: { name } }: Step) => !inFlight.has(name)
    if (seen.phase === 'forward') {
      return {
        steps: now > seen.deadline ? [] : readyForward(definition, seen).filter(idle),
        direction: 'do',
      }
    }
    const stillDoing = definition.steps.some(
      ({ contract: { name } }) => inFlight.has(name) && current().steps[name]?.status === 'doing',
    )
    return { steps: stillDoing ? [] : readyBackward(definition, seen).filter(idle), direction: 'undo' }
  }

  const journaled = async (
    record: (transitions: Transition[]) => Unnumbered<SagaRecord>,
    steps: Step[] = [],
    direction: 'do' | 'undo' = 'do',
  ) => {
    const taken = results.slice()
    const status = direction === 'do' ? ('doing' as const) : ('undoing' as const)
    const begun = steps.map(({ contract: { name } }) => ({ step: name, status }))
    if (!(await tryAppend(record([...taken, ...begun])))) return
    results.splice(0, taken.length)
    for (const step of steps) launch(step, direction)
  }

  const progressed = (transitions: Transition[]) => ({ kind: 'progressed' as const, transitions })

  const rest = async (seen: SagaState, now: number): Promise<void> => {
    if (seen.phase === 'backward') {
      const outcome =
        remaining(definition, seen).length > 0 ? 'stuck' : seen.rested ? 'undone' : 'compensated'
      return journaled((transitions) => ({ kind: 'ended', outcome, transitions }))
    }
    if (definition.steps.every(({ contract: { name } }) => seen.steps[name]?.status === 'done')) {
      return journaled((transitions) => ({ kind: 'ended', outcome: 'completed', transitions }))
    }
    if (now <= seen.deadline) throw new Error(`saga ${definition.name} can neither go on nor end`)
    await tryAppend({ kind: 'cancelled', reason: 'the overall deadline has passed' })
  }

  const lingered = async (): Promise<void> => {
    const waiting = results.length
    const linger = new AbortController()
    await Promise.race([changed.promise, ...(waiting > 0 ? [clock.delay(lingerMs, linger.signal)] : [])])
    linger.abort()
    if (waiting > 0 && results.length === waiting) await journaled(progressed)
  }

  /** One round: relaunch what a crash left, begin what is ready, come to rest, or wait for a result. */
  const advance = async (): Promise<void> => {
    const { phase } = current()
    for (const step of inDoubt(phase === 'forward' ? 'doing' : 'undoing'))
      launch(step, phase === 'forward' ? 'do' : 'undo')
    const seen = foreseen()
    const now = clock.now()
    const { steps, direction } = intents(seen, now)
    if (steps.length > 0) return journaled(progressed, steps, direction)
    if (inFlight.size === 0) return rest(seen, now)
    await lingered()
  }

  const toRest = async (): Promise<SagaState> => {
    while (current().phase !== 'ended') {
      if (stop.signal.aborted) lose()
      await advance()
      if (bug) throw bug
    }
    return current()
  }

  return {
    get state() {
      return state
    },
    /** Begins a saga that the journal does not know, or that is at rest undone; answers false when another came first. */
    start: async (input: Record<string, unknown>): Promise<boolean> => {
      const first = definition.steps.filter(({ needs }) => needs.length === 0)
      const deadline = new Date(clock.now() + definition.deadlineMs).toISOString()
      const transitions = first.map(({ contract: { name } }): Transition => ({ step: name, status: 'doing' }))
      const { name: saga, version } = definition
      if (!(await tryAppend({ kind: 'started', saga, version, input, deadline, transitions }))) return false
      for (const step of first) launch(step, 'do')
      return true
    },
    /** Takes over a saga that is not at rest: whoever drove it is fenced from here on. */
    resume: () => tryAppend({ kind: 'resumed' }),
    /** Begins the reverse of a saga at rest. */
    unwind: (reason: string, skipped: Transition[] = []) =>
      tryAppend({ kind: 'unwinding', reason, transitions: skipped }),
    /** Asks whoever drives the saga to compensate. */
    cancel: (reason: string) => tryAppend({ kind: 'cancelled', reason }),
    /** Drives until the saga is at rest. */
    toRest,
    /** Looks at the journal again before waiting on: someone else has appended to it. */
    refresh: async () => {
      const latest = await journal.read()
      if (latest.sequence <= sequence || stop.signal.aborted) return
      state = foldJournal(latest)
      sequence = latest.sequence
      if (state?.owner !== owner) stop.abort(new Failure('interrupted', 'the saga is driven by another run'))
      poke()
    },
    /** Stops driving without a word in the journal; another run can resume. */
    stop: () => {
      stop.abort(new Failure('interrupted', 'the run was stopped'))
      poke()
    },
  }
}

export type Run = ReturnType<typeof createRun>

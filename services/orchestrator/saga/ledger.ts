import type { SagaRecord } from '../../../shared/contracts/journal.ts'
import { Failure } from '../../../shared/failure.ts'
import { createKeyedQueue } from '../../../shared/keyed-queue.ts'
import type { Journal, JournalContent } from './journal.ts'
import type { Clock } from './perform.ts'
import { type SagaState, apply } from './state.ts'

type Unnumbered<R> = R extends unknown ? Omit<R, 'n' | 'owner'> : never

/** A record before the ledger gives it its number and its owner. */
export type NewRecord = Unnumbered<SagaRecord>

/** The run has lost its saga: another run drives it now, or it must stop. Nothing was sent since. */
export class Lost extends Error {
  override readonly name = 'Lost'
}

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

/** One run's view of its saga's journal: what it says, and appends that expect exactly that. */
export const createLedger = (
  journal: Journal,
  owner: string,
  content: JournalContent,
  clock: Pick<Clock, 'now'>,
) => {
  let { sequence } = content
  let state = foldJournal(content)
  let fence = sequence
  let fresh = true
  let confirmedAt = 0
  // A look at the journal in the middle of an append would take in the record that the append still adds.
  const turns = createKeyedQueue()

  let lost = false

  const requireHeld = (): void => {
    if (lost) throw new Lost(`run ${owner} has lost its saga`)
  }

  /** Takes in the journal as it is now. Throws `Lost` when the saga has another owner than before. */
  const reread = async (): Promise<JournalContent> => {
    const held = state?.owner
    const latest = await journal.read()
    const now = foldJournal(latest)
    lost = held !== undefined && now?.owner !== held && now?.owner !== owner
    // What follows would be expected where the other left off, and be taken for its own.
    requireHeld()
    state = now
    sequence = latest.sequence
    confirmedAt = clock.now()
    return latest
  }

  const append = async (partial: NewRecord): Promise<boolean> => {
    requireHeld()
    const n = (state?.n ?? 0) + 1
    const record = { ...partial, n, owner }
    const messageId = `${n}:${owner}:${sequence}`
    const phase = state?.phase
    try {
      sequence = await journal.append(record, { expectedSequence: sequence, messageId })
      state = apply(state, record)
      confirmedAt = clock.now()
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'stale') throw error
      const { entries } = await reread()
      if (!entries.some((entry) => entry.messageId === messageId)) return false
      // The acknowledgement was lost, and whoever the command went to meanwhile has taken the saga over.
      lost = partial.kind !== 'cancelled' && state?.owner !== owner
      requireHeld()
    }
    if (partial.kind !== 'progressed' || phase !== state?.phase) fence = sequence
    if (partial.kind === 'resumed') fresh = false
    return true
  }

  return {
    get state() {
      return state
    },
    /** Token of the requests sent now: the sequence at which the run took the saga or turned it backward. */
    get fence() {
      return fence
    },
    /** Whether the run began the saga or its reverse, and did not take it over. */
    get fresh() {
      return fresh
    },
    current: (): SagaState => {
      if (!state) throw new Error('the saga has not begun')
      return state
    },
    /** Milliseconds since the journal was last heard of. */
    ageMs: (): number => clock.now() - confirmedAt,
    /** Appends, or takes in what came first; answers whether the record is in the journal. Throws `Lost`. */
    append: (partial: NewRecord): Promise<boolean> => {
      const seen = sequence
      // What was taken in while this waited for its turn came first: it was decided without knowing of it.
      return turns.run('journal', async () => seen === sequence && append(partial))
    },
    /** Takes in what others have appended. Throws `Lost`. */
    refresh: (): Promise<void> => turns.run('journal', async () => void (await reread())),
  }
}

export type Ledger = ReturnType<typeof createLedger>

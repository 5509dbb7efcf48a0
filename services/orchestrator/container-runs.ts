import { randomUUID } from 'node:crypto'
import type { Bus } from '../../shared/bus.ts'
import { Failure } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { retrying } from '../../shared/retry.ts'
import { containerJournal } from './container-journal.ts'
import type { ContainerLog } from './container-log.ts'
import { sagas } from './create-container.ts'
import { type Executor, systemClock } from './saga/perform.ts'
import { type Run, createRun } from './saga/run.ts'
import type { SagaState } from './saga/state.ts'

interface RunsParts {
  bus: Bus
  executor: Executor
  log: Log
  signal: AbortSignal
}

const definitionOf = ({ saga, version }: Pick<SagaState, 'saga' | 'version'>) => {
  const definition = sagas.find((candidate) => candidate.name === saga && candidate.version === version)
  if (definition) return definition
  throw new Failure('unavailable', `saga ${saga} version ${version} is not known to this orchestrator`)
}

/** At rest with nothing of the container left: the id may be used again. */
export const isGone = (saga: SagaState | undefined): boolean =>
  saga === undefined ||
  (saga.phase === 'ended' && ['compensated', 'undone', 'aborted'].includes(saga.outcome ?? ''))

/** A command that is refused because of what the container's log said up to a sequence. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly failure: Failure
  readonly sequence: number

  constructor(failure: Failure, sequence: number) {
    super(failure.message, { cause: failure })
    this.failure = failure
    this.sequence = sequence
  }
}

/** Runs what decides on a command by its container's log; a failure that says no becomes a `Refusal`. */
export const deciding = async <T>({ content }: ContainerLog, decide: () => Promise<T>): Promise<T> => {
  try {
    return await decide()
  } catch (error) {
    if (!(error instanceof Failure) || error.retryable) throw error
    throw new Refusal(error, content.sequence)
  }
}

/** Characters of a reason that would else be more than a message holds. */
const mostReason = 1000

/** The sagas that this process drives, and the outcomes it tells. */
export const createContainerRuns = ({ bus, executor, log, signal }: RunsParts) => {
  const runs = new Map<string, Run>()

  const outcome = async (
    id: string,
    type: string,
    commandId: string,
    data: Record<string, unknown>,
    expectedSequence?: number,
  ): Promise<boolean> => {
    const messageId = `${commandId}:outcome`
    const event = { kind: 'container', id, type, messageId, commandId, data }
    try {
      await retrying(() => bus.append(event, expectedSequence), { signal, log })
      return true
    } catch (error) {
      // Another orchestrator was delivered the command too, and has gone on while this one stood still.
      if (error instanceof Failure && error.code === 'stale') return false
      throw error
    }
  }

  return {
    /** Tells a command's outcome; answers false when the log is no longer as it was at the expected sequence. */
    outcome,
    /** The outcome of a command that was refused; a log that cannot be read parks its container as stuck. */
    reject: (
      id: string,
      commandId: string,
      { code, message, details }: Failure,
      expectedSequence?: number,
    ): Promise<boolean> => {
      const { transcript: _, ...rest } = details
      const type = 'sequence' in details ? 'container.stuck' : 'container.rejected'
      return outcome(id, type, commandId, { id, code, reason: message, ...rest }, expectedSequence).catch(
        (error: unknown) => {
          if (!(error instanceof Failure) || error.code !== 'limit_refused') throw error
          // What was refused is quoted in the refusal.
          const reason = `${message.slice(0, mostReason)}…`
          return outcome(id, type, commandId, { id, code, reason }, expectedSequence)
        },
      )
    },
    /** A run of the container's saga. Throws `Failure` (`unavailable`) when its version is not known here. */
    open: (
      id: string,
      commandId: string | undefined,
      { content, saga }: ContainerLog,
      fresh?: Pick<SagaState, 'saga' | 'version'>,
    ): Run => {
      const named = fresh ?? saga
      if (!named) throw new Error(`container ${id} has no saga`)
      const journal = containerJournal({ bus, id, commandId, content, log, signal })
      const definition = definitionOf(named)
      return createRun({ definition, journal, executor, clock: systemClock, owner: randomUUID() }, content)
    },
    /** Drives a run to rest. Throws `Lost` when another run took over or the process is stopping. */
    drive: async (id: string, run: Run): Promise<void> => {
      runs.set(id, run)
      const stop = () => run.stop()
      signal.addEventListener('abort', stop, { once: true })
      if (signal.aborted) stop()
      try {
        await run.toRest()
      } finally {
        signal.removeEventListener('abort', stop)
        if (runs.get(id) === run) runs.delete(id)
      }
    },
    /** Whether this process drives the container's saga. */
    has: (id: string): boolean => runs.has(id),
    /** Tells the run of a container, if it is here, that someone else has written to its journal. */
    refresh: (id: string): Promise<void> => runs.get(id)?.refresh() ?? Promise.resolve(),
  }
}

export type ContainerRuns = ReturnType<typeof createContainerRuns>

/**
 * Carries out one command; answers false when someone else must finish first. Throws `Failure` or `Refusal`
 * when the command is refused.
 */
export type Act = (
  command: { sequence: number; deliveries: number },
  body: unknown,
  id: string,
  commandId: string,
) => Promise<boolean>

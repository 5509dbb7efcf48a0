import { randomUUID } from 'node:crypto'
import type { Bus } from '../../shared/bus.ts'
import { Failure } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
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

/** The sagas that this process drives, and the outcomes it tells. */
export const createContainerRuns = ({ bus, executor, log, signal }: RunsParts) => {
  const runs = new Map<string, Run>()

  const outcome = async (
    id: string,
    type: string,
    commandId: string,
    data: Record<string, unknown>,
  ): Promise<void> => {
    await bus.publishEvent({
      kind: 'container',
      id,
      type,
      messageId: `${commandId}:outcome`,
      commandId,
      data,
    })
  }

  return {
    outcome,
    /** The outcome of a command that was refused; a log that cannot be read parks its container as stuck. */
    reject: (id: string, commandId: string, { code, message, details }: Failure): Promise<void> => {
      const { transcript: _, ...rest } = details
      const type = 'sequence' in details ? 'container.stuck' : 'container.rejected'
      return outcome(id, type, commandId, { id, code, reason: message, ...rest })
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
 * Carries out one command; answers false when someone else must finish first. Throws `Failure` when the
 * command is refused.
 */
export type Act = (
  command: { sequence: number },
  body: unknown,
  id: string,
  commandId: string,
) => Promise<boolean>

import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Bus } from '../../shared/bus.ts'
import { ContainerSpec } from '../../shared/contracts/container-spec.ts'
import * as host from '../../shared/contracts/operations.ts'
import type { Transition } from '../../shared/contracts/journal.ts'
import { reasonOf } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { containerJournal, readContainer } from './container-log.ts'
import type { ContainerRuns } from './container-runs.ts'
import { containerSpec } from './container-spec.ts'
import { createContainer } from './create-container.ts'
import { findLeaks } from './leaks.ts'
import type { Projection } from './projection.ts'
import type { Reach } from './reach.ts'
import { undoSteps } from './restore.ts'
import type { Executor } from './saga/perform.ts'

interface ReconcilerParts {
  bus: Bus
  executor: Executor
  projection: Projection
  reach: Reach
  runs: ContainerRuns
  node: string
  log: Log
  signal: AbortSignal
  everyMs: number
  /** How old the last record of a saga must be until nobody can be driving it any more. */
  staleMs: number
}

/**
 * Compares what its node has with what the log says, at start and periodically: undoes what should not
 * live, adopts what the log has lost, finishes what nobody drives, and tells what only a person may judge.
 */
export const createReconciler = (parts: ReconcilerParts) => {
  const { bus, executor, projection, reach, runs, node, log, signal, everyMs, staleMs } = parts
  const told = new Set<string>()

  const tell = async (type: string, container: string, data: Record<string, unknown>): Promise<void> => {
    await bus.publishEvent({
      kind: 'node',
      id: node,
      type,
      messageId: `${node}:${type}:${container}:${randomUUID()}`,
      data: { container, ...data },
    })
  }

  /** A running container that the log does not know: its own host says what it is. */
  const adopt = async (id: string): Promise<boolean> => {
    const { origin, state } = await reach.ask(node, host.processOrigin, { id })
    const spec = ContainerSpec.safeParse(origin)
    if (!spec.success || state.status === 'absent' || state.status === 'stopped') return false
    const { content } = await readContainer(bus, id)
    const owner = randomUUID()
    const journal = containerJournal({ bus, id, commandId: undefined, content, log, signal })
    const outputs: Record<string, Record<string, unknown>> = {
      namespace: { pid: state.pid, startedAt: state.startedAt },
    }
    const transitions = createContainer.steps.map(({ contract: { name } }): Transition => ({
      step: name,
      status: 'done',
      output: outputs[name] ?? {},
    }))
    const { name: saga, version } = createContainer
    const started = {
      kind: 'started' as const,
      n: 1,
      owner,
      saga,
      version,
      input: spec.data,
      deadline: new Date().toISOString(),
      transitions,
    }
    const sequence = await journal.append(started, {
      expectedSequence: content.sequence,
      messageId: `1:${owner}:adopted`,
    })
    const ended = { kind: 'ended' as const, n: 2, owner, outcome: 'completed' as const, transitions: [] }
    await journal.append(ended, { expectedSequence: sequence, messageId: `2:${owner}:adopted` })
    await tell('container.adopted', id, { pid: state.pid })
    log.warn({ container: id }, 'container adopted: it runs and the log did not know it')
    return true
  }

  const settleLeaks = async (): Promise<void> => {
    const leaks = await findLeaks({ bus, projection, reach }, node)
    for (const [id, objects] of Map.groupBy(leaks, ({ container }) => container ?? '')) {
      const ownership = objects[0]?.ownership
      const names = objects.map(({ kind, name }) => `${kind} ${name}`)
      if (ownership === 'gone') {
        const { content } = await readContainer(bus, id)
        await undoSteps(executor, containerSpec({ image: 'unknown' }, { id, node }), content.sequence)
        await tell('container.cleaned', id, { objects: names })
        log.warn({ container: id, objects: names }, 'removed what a container that is gone had left')
      } else if (!(ownership === 'unknown' && (await adopt(id))) && !told.has(id)) {
        told.add(id)
        await tell('container.unexplained', id, { objects: names, ownership })
        log.error(
          { container: id, objects: names, ownership },
          'the log does not explain these; "dolly doctor --leaks" lists them',
        )
      }
    }
  }

  /** Sagas whose command has gone, or whose orchestrator died after it: nobody else would end them. */
  const finishStale = async (): Promise<void> => {
    for (const { id, status } of projection.list()) {
      if ((status !== 'creating' && status !== 'deleting') || runs.has(id)) continue
      const known = await readContainer(bus, id)
      if (known.saga === undefined || known.saga.phase === 'ended' || Date.now() - known.changedAt < staleMs)
        continue
      log.warn({ container: id, phase: known.saga.phase }, 'taking over a saga that nobody drives')
      const run = runs.open(id, known.unwoundBy ?? known.startedBy ?? '', known)
      if (await run.resume()) await runs.drive(id, run)
    }
  }

  const round = async (): Promise<void> => {
    for (const part of [settleLeaks, finishStale]) {
      await part().catch((error: unknown) => {
        if (!signal.aborted) log.warn({ reason: reasonOf(error) }, 'reconciliation postponed')
      })
    }
  }

  return {
    round,
    /** Reconciles until the signal. */
    run: async (): Promise<void> => {
      while (!signal.aborted) {
        await round()
        await delay(everyMs, undefined, { signal }).catch(() => undefined) // aborted: the loop ends
      }
    },
  }
}

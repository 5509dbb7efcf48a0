import { setTimeout as delay } from 'node:timers/promises'
import type { Bus } from '../../shared/bus.ts'
import * as host from '../../shared/contracts/operations.ts'
import { Failure } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { adopt } from './adopt.ts'
import { keepLiving } from './checkpoint.ts'
import { readContainer } from './container-log.ts'
import type { ContainerRuns } from './container-runs.ts'
import { containerSpec } from './container-spec.ts'
import { findLeaks, listObjects } from './leaks.ts'
import { settleLives } from './life.ts'
import { createNodeNews } from './node-news.ts'
import type { Projection } from './projection.ts'
import type { Reach } from './reach.ts'
import { undoSteps } from './restore.ts'
import { settleHost } from './shared-objects.ts'
import { Lost } from './saga/ledger.ts'
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

type Leaks = Awaited<ReturnType<typeof findLeaks>>

const againMs = 1000
/** Sagas taken over at once after an orchestrator died with its commands. */
const mostTakeovers = 32

/**
 * Compares what its node has with what the log says, at start and periodically: undoes what should not
 * live, adopts what the log has lost, finishes what nobody drives, and tells what only a person may judge.
 */
export const createReconciler = (parts: ReconcilerParts) => {
  const { bus, executor, projection, reach, runs, node, log, signal, everyMs, staleMs } = parts
  const { tell, tellOnce, next } = createNodeNews({ bus, node, log })

  /** One part of a round; what fails for one container must not keep the others from their turn. */
  const attempt = async (part: () => Promise<void>): Promise<boolean> => {
    try {
      await part()
      return true
    } catch (error) {
      if (!(error instanceof Failure) && !(error instanceof Lost)) throw error
      if (!signal.aborted) log.warn({ reason: error.message }, 'reconciliation postponed')
      return false
    }
  }

  /** Since the log's last word on it, it was made anew: the log is older than the host. */
  const isNewer = async (id: string, changedAt: number): Promise<boolean> => {
    const { status, startedAt = '' } = await reach.ask(node, host.processState, { id })
    return status !== 'absent' && Date.parse(startedAt) > changedAt
  }

  const settleLeak = async (id: string, leaks: Leaks): Promise<void> => {
    const [{ ownership, sequence, changedAt, spec } = leaks[0]!] = leaks
    const objects = leaks.map(({ kind, name }) => `${kind} ${name}`)
    if (ownership === 'abandoned' || ownership === 'unreadable') return
    if (ownership === 'gone' && !(await isNewer(id, changedAt))) {
      const had = spec ?? containerSpec({ image: 'unknown' }, { id, node })
      await undoSteps({ executor, spec: { ...had, node }, fence: sequence })
      await tell('container.cleaned', id, { container: id, objects, sequence })
      log.warn({ container: id, objects }, 'removed what a container that is gone had left')
    } else if (await adopt(parts, id, node)) {
      await tell('container.adopted', id, { container: id, objects })
      log.warn({ container: id }, 'container adopted: it is here and the log did not know it')
    } else await tellOnce('container.unexplained', id, { container: id, objects, ownership })
  }

  const settleLeaks = async (): Promise<void> => {
    const leaks = await findLeaks({ bus, projection, reach }, node)
    for (const [id, objects] of Map.groupBy(leaks, ({ container }) => container ?? ''))
      await attempt(() => settleLeak(id, objects))
  }

  const finish = async (id: string): Promise<void> => {
    const known = await readContainer(bus, id)
    const { saga, answered, unwoundBy, startedBy, changedAt } = known
    if (saga === undefined || saga.phase === 'ended' || Date.now() - changedAt < staleMs) return
    try {
      const owed = [unwoundBy, startedBy].find((command) => command && !answered.has(command))
      const run = runs.open(id, owed, known)
      log.warn({ container: id, phase: saga.phase }, 'taking over a saga that nobody drives')
      if (await run.resume()) await runs.drive(id, run)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      await tellOnce('saga.refused', id, { container: id, code: error.code, reason: error.message })
    }
  }

  /** Sagas whose command has gone, or whose orchestrator died after it: nobody else would end them. */
  const finishStale = async (): Promise<void> => {
    const restless = projection
      .list()
      .filter(({ id, status }) => (status === 'creating' || status === 'deleting') && !runs.has(id))
    await Promise.all(restless.slice(0, mostTakeovers).map(({ id }) => attempt(() => finish(id))))
  }

  /** Answers whether the whole of it could be done. */
  const round = async (): Promise<boolean> => {
    await attempt(finishStale)
    const compared = await attempt(async () => {
      const objects = await listObjects(reach, node)
      await attempt(() => settleHost({ reach, node, tell, tellOnce }, objects))
      await attempt(() => settleLives(parts, objects))
    })
    const settled = await attempt(settleLeaks)
    await attempt(() =>
      keepLiving(
        parts,
        projection.list().filter((container) => container.node === node),
      ),
    )
    next()
    return compared && settled
  }

  return {
    round,
    /** Reconciles until the signal. */
    run: async (): Promise<void> => {
      while (!signal.aborted) {
        // At start the host's services may not be ready yet; what a reboot has left must not wait for long.
        const pauseMs = (await round()) ? everyMs : Math.min(everyMs, againMs)
        await delay(pauseMs, undefined, { signal }).catch(() => undefined) // aborted: the loop ends
      }
    },
  }
}

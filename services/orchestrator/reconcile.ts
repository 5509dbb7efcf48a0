import type { Bus } from '../../shared/bus.ts'
import * as host from '../../shared/contracts/operations.ts'
import type { Log } from '../../shared/log.ts'
import { adopt } from './adopt.ts'
import { containerSpec } from './container-spec.ts'
import { findLeaks, listObjects } from './leaks.ts'
import { settleLives } from './life.ts'
import { createNodeNews } from './node-news.ts'
import type { Projection } from './projection.ts'
import type { Reach } from './reach.ts'
import { undoSteps } from './restore.ts'
import { settleHost } from './shared-objects.ts'
import { settling } from './settling.ts'
import type { Executor } from './saga/perform.ts'

export interface ReconcilerParts {
  bus: Bus
  executor: Executor
  projection: Projection
  reach: Reach
  node: string
  log: Log
  signal: AbortSignal
}

type Leaks = Awaited<ReturnType<typeof findLeaks>>

/**
 * Compares what one node has with what the log says: undoes what should not live, adopts what the log has lost,
 * and tells what only a person may judge. Any number of orchestrators may do it for one node: each acts on what the
 * log said at a sequence, and the node's services refuse what is older than what they have seen.
 */
export const createReconciler = (parts: ReconcilerParts) => {
  const { bus, executor, projection, reach, node, log, signal } = parts
  const { tell, tellOnce, next } = createNodeNews({ bus, node, log })
  const attempt = settling(parts)

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

  const settleLeaks = async (listed: readonly host.Leak[] | undefined): Promise<void> => {
    const leaks = await findLeaks({ bus, projection, reach }, node, listed)
    for (const [id, objects] of Map.groupBy(leaks, ({ container }) => container ?? ''))
      if (!signal.aborted) await attempt(() => settleLeak(id, objects))
  }

  return {
    /** Does it once; answers whether the whole of it could be done. */
    round: async (): Promise<boolean> => {
      let objects: host.Leak[] | undefined
      const compared = await attempt(async () => {
        const listed = (objects = await listObjects(reach, node))
        await attempt(() => settleHost({ reach, node, tell, tellOnce }, listed))
        await attempt(() => settleLives(parts, listed))
      })
      // Whatever it suspects it looks for once more.
      const settled = await attempt(() => settleLeaks(objects))
      next()
      return compared && settled
    },
  }
}

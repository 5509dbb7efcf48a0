import { setTimeout as delay } from 'node:timers/promises'
import { isReady } from '../../shared/contracts/node.ts'
import { keepLiving } from './checkpoint.ts'
import type { ContainerRuns } from './container-runs.ts'
import { createNodeNews } from './node-news.ts'
import type { Nodes } from './nodes.ts'
import { type ReconcilerParts, createReconciler } from './reconcile.ts'
import { settling } from './settling.ts'
import { finishStale } from './stale-sagas.ts'

interface FleetParts extends ReconcilerParts {
  nodes: Nodes
  runs: ContainerRuns
  heartbeatMs: number
  everyMs: number
  staleMs: number
}

const againMs = 1000

/**
 * Reconciles every node of the fleet, at start and periodically until the signal: each in its own time, so that a
 * host that is slow keeps no other waiting. A host that does not answer has its turn as soon as it is back.
 */
export const reconcileFleet = async (parts: FleetParts): Promise<void> => {
  const { nodes, projection, node: here, signal, heartbeatMs, everyMs } = parts
  const attempt = settling(parts)
  const { tellOnce, next } = createNodeNews(parts)
  const pause = (ms: number) => delay(ms, undefined, { signal }).catch(() => undefined) // aborted: the loop ends
  const watched = new Map<string, Promise<void>>()

  const isKnown = (name: string): boolean => name === here || nodes.get(name) !== undefined
  // At start nobody has asked the own host's services yet.
  const answers = (name: string): boolean => {
    const record = nodes.get(name)
    return name === here || (record !== undefined && isReady(record, heartbeatMs))
  }

  const watch = async (name: string): Promise<void> => {
    const reconciler = createReconciler({ ...parts, node: name })
    while (!signal.aborted && isKnown(name)) {
      // What a reboot or a crash has left must not wait for long.
      const whole = answers(name) && (await reconciler.round())
      await pause(whole ? everyMs : Math.min(everyMs, againMs))
    }
    watched.delete(name)
  }

  while (!signal.aborted) {
    for (const name of [here, ...nodes.list().map((record) => record.name)])
      if (!watched.has(name)) watched.set(name, watch(name))
    await attempt(() => finishStale({ ...parts, attempt, tellOnce }))
    await attempt(() => keepLiving(parts, projection.list()))
    next()
    await pause(everyMs)
  }
  await Promise.all(watched.values())
}

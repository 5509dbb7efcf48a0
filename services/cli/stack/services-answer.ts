import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '../../../shared/config.ts'
import { Failure } from '../../../shared/failure.ts'
import { patienceMs } from '../../../shared/patience.ts'
import { letsJoin } from '../join/lets-join.ts'
import { noLog } from '../commands/bus/session.ts'
import { connectInTime } from './connect-in-time.ts'
import { servicesOf } from './project.ts'

const readyWithinMs = 120_000

/**
 * Waits until a service of each kind answers on this node, and who lets hosts join, where any could. Throws `Failure`
 * (`timeout`) that names those that do not and what says why, or (`host_unfit`) as soon as `ended` answers why one
 * never will.
 */
export const servicesAnswer = async (
  config: Config,
  { verb, logs, ended }: { verb: string; logs: string; ended?: () => Promise<string | undefined> },
): Promise<void> => {
  const wanted = [...servicesOf(config), ...((await letsJoin(config)) ? ['registrar'] : [])]
  const deadline = performance.now() + patienceMs(readyWithinMs)
  const bus = await connectInTime(config, noLog, AbortSignal.timeout(patienceMs(readyWithinMs)))
  const isThere = async (name: string) =>
    (await bus.ping(name)).some(({ metadata }) => metadata['node'] === config.node)
  try {
    for (;;) {
      const there = await Promise.all(wanted.map(isThere))
      const missing = wanted.filter((_, index) => !there[index])
      if (missing.length === 0) return
      const reason = await ended?.()
      if (reason) throw new Failure('host_unfit', `cannot ${verb}: ${reason}`)
      if (performance.now() > deadline)
        throw new Failure(
          'timeout',
          `cannot ${verb}: no answer of ${missing.join(', ')} within ${readyWithinMs / 1000} s; "${logs}" says why`,
        )
      await delay(100)
    }
  } finally {
    await bus.close()
  }
}

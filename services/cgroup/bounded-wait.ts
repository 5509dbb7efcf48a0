import { setTimeout as delay } from 'node:timers/promises'
import { patienceMs } from '../../shared/patience.ts'

/**
 * Tries until `attempt` answers true, 1 ms later and then doubling up to 64 ms: what the kernel does
 * after a kill or a freeze mostly takes one or two milliseconds. Answers false when `limitMs` is over.
 */
export const until = async (attempt: () => boolean, limitMs: number): Promise<boolean> => {
  const end = performance.now() + patienceMs(limitMs)
  for (let pauseMs = 1; !attempt(); pauseMs = Math.min(pauseMs * 2, 64)) {
    if (performance.now() + pauseMs > end) return false
    await delay(pauseMs)
  }
  return true
}

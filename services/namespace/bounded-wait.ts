import { setTimeout as delay } from 'node:timers/promises'
import { patienceMs } from '../../shared/patience.ts'

/** The answer comes at most this part of the wait late. */
const lateness = 1 / 8

/** Asks until the answer is not undefined, every 1 ms at first and every 32 ms at last; undefined when time is up. */
export const waitFor = async <T>(ask: () => T | undefined, limitMs: number): Promise<T | undefined> => {
  const begun = performance.now()
  for (;;) {
    const answer = ask()
    if (answer !== undefined) return answer
    const waitedMs = performance.now() - begun
    const pauseMs = Math.min(Math.max(waitedMs * lateness, 1), 32)
    if (waitedMs + pauseMs > patienceMs(limitMs)) return undefined
    await delay(pauseMs)
  }
}

import { setTimeout as delay } from 'node:timers/promises'
import { patienceMs } from '../../shared/patience.ts'

/** Asks until the answer is not undefined, every 1 ms at first and every 32 ms at last; undefined when time is up. */
export const waitFor = async <T>(ask: () => T | undefined, limitMs: number): Promise<T | undefined> => {
  const end = performance.now() + patienceMs(limitMs)
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 32)) {
    const answer = ask()
    if (answer !== undefined) return answer
    if (performance.now() + pauseMs > end) return undefined
    await delay(pauseMs)
  }
}

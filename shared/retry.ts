import { setTimeout as delay } from 'node:timers/promises'
import { Failure } from './failure.ts'
import type { Log } from './log.ts'

/** Milliseconds before attempt `attempt` (from 1): doubling from 50, at most `maxMs`, with up to a quarter of jitter. */
export const backoffMs = (attempt: number, maxMs = 2000, random: () => number = Math.random): number =>
  Math.min(maxMs, 50 * 2 ** Math.min(attempt - 1, 10)) * (0.75 + random() / 4)

interface Retrying {
  signal: AbortSignal
  log?: Log
  /** Which retryable failures to repeat after; all when absent. */
  only?: (failure: Failure) => boolean
}

/** Repeats an act while it fails retryably, until the signal aborts. Throws the last failure then, and any terminal one at once. */
export const retrying = async <T>(
  act: () => Promise<T>,
  { signal, log, only = () => true }: Retrying,
): Promise<T> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof Failure) || !error.retryable || signal.aborted || !only(error)) throw error
      log?.[attempt === 5 ? 'warn' : 'debug']({ reason: error.message, attempt }, 'retrying')
      // Aborted while it waits: the failure says more than the abort.
      await delay(backoffMs(attempt), undefined, { signal }).catch(() => Promise.reject(error))
    }
  }
}

const mostSets = 20

/** Compares and sets until nobody else was faster. Throws the last `Failure` (`stale`) when somebody always was, and any other at once. */
export const untilSet = async <T>(act: () => Promise<T>): Promise<T> => {
  for (let tries = 1; ; tries++) {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'stale' || tries === mostSets) throw error
    }
  }
}

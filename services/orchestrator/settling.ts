import { Failure } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { Lost } from './saga/ledger.ts'

/** Does one part of a round and answers whether it could; what fails for one container must not keep the others from their turn. */
export const settling =
  ({ log, node, signal }: { log: Log; node: string; signal: AbortSignal }) =>
  async (part: () => Promise<unknown>): Promise<boolean> => {
    try {
      await part()
      return true
    } catch (error) {
      if (!(error instanceof Failure) && !(error instanceof Lost)) throw error
      if (!signal.aborted) log.warn({ reason: error.message, of: node }, 'reconciliation postponed')
      return false
    }
  }

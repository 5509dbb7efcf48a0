import { z } from 'zod'
import { type StepContract, stepContract } from '../../../shared/contracts/contract.ts'
import { Failure } from '../../../shared/failure.ts'
import { type Saga, type Step, step } from '../../../services/orchestrator/saga/definition.ts'
import type { Journal, JournalEntry } from '../../../services/orchestrator/saga/journal.ts'
import type { Clock } from '../../../services/orchestrator/saga/perform.ts'

const anything = z.record(z.string(), z.unknown())

/** A step contract without a shape, owned by nobody. */
export const plainContract = (name: string): StepContract =>
  stepContract(name, { service: 'orchestrator', input: anything, output: anything })

/** A saga of plain steps; `needs` are positions of earlier steps. */
export const plainSaga = (
  shape: readonly { name: string; needs: readonly number[] }[],
  limits: Partial<Step> = {},
): Saga => {
  const contracts = shape.map(({ name }) => plainContract(name))
  const steps = shape.map(({ needs }, at): Step => {
    const needed = needs.map((index) => contracts[index]).filter((contract) => contract !== undefined)
    return { ...step(contracts[at] ?? plainContract('none'), { needs: needed }), ...limits }
  })
  return { name: 'plain', version: 1, input: anything, deadlineMs: 1_000_000, steps }
}

/** A journal in memory with the log's compare-and-set; `lose` makes an append's acknowledgement get lost. */
export const memoryJournal = () => {
  const entries: JournalEntry[] = []
  let sequence = 0
  const journal: Journal = {
    read: async () => ({ entries: structuredClone(entries), sequence }),
    append: async (record, { expectedSequence, messageId }) => {
      const known = entries.find((entry) => entry.messageId === messageId)
      if (known) return known.sequence
      if (expectedSequence !== sequence)
        throw new Failure('stale', `expected ${expectedSequence}, is ${sequence}`)
      sequence += 1
      entries.push({ sequence, messageId, record: structuredClone(record) })
      return sequence
    },
  }
  return { journal, entries }
}

/** A clock on which a delay takes no time but is counted. */
export const quickClock = (): Clock & { advance: (ms: number) => void } => {
  let now = 0
  return {
    now: () => now,
    elapsed: () => now,
    advance: (ms) => void (now += ms),
    delay: async (ms) => {
      await new Promise(setImmediate)
      now += ms
    },
  }
}

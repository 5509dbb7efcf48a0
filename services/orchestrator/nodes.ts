import type { Bus } from '../../shared/bus.ts'
import { NodeRecord } from '../../shared/contracts/node.ts'
import type { Log } from '../../shared/log.ts'
import { untilSet } from '../../shared/retry.ts'
import { type Update, followBucket } from './follow-bucket.ts'

interface NodesParts {
  bus: Bus
  log: Log
  signal: AbortSignal
}

interface Kept {
  record: NodeRecord
  revision: number
}

/** Every node's record as the bucket `nodes` has it, in memory; `onChange` is told of each that comes, changes or goes. */
export const createNodes = async ({ bus, log, signal }: NodesParts) => {
  const bucket = await bus.bucket('nodes')
  const known = new Map<string, Kept>()
  const listeners = new Set<(name: string) => void>()

  const update = ({ key, value, revision }: Update): void => {
    const record = value === undefined ? undefined : NodeRecord.safeParse(JSON.parse(value)).data
    if (record) known.set(key, { record, revision })
    else known.delete(key)
    for (const tell of listeners) tell(key)
  }

  const { promise: ready, resolve: caughtUp } = Promise.withResolvers<unknown>()
  const ended = followBucket({ bus, bucket, update, caughtUp, log, signal })
  await Promise.race([ready, ended])
  return {
    list: (): NodeRecord[] =>
      [...known.values()].map(({ record }) => record).toSorted((a, b) => a.name.localeCompare(b.name)),
    get: (name: string): NodeRecord | undefined => known.get(name)?.record,
    /** Writes a record over the one that is known, if there is one. Throws `Failure` (`stale`) when another was written since. */
    write: async (record: NodeRecord): Promise<void> => {
      const { name } = record
      const before = known.get(name)
      const value = JSON.stringify(record)
      // Where there is none now, there may or may not be a mark of one that was deleted.
      const revision = before
        ? await bucket.put(name, value, { previousSeq: before.revision })
        : await bucket.create(name, value)
      known.set(name, { record, revision })
      for (const tell of listeners) tell(record.name)
    },
    /** Writes into a node's record what its root may do; of a node that has gone nothing. Throws `Failure`. */
    setRole: (name: string, role: NodeRecord['role']): Promise<void> =>
      untilSet(async () => {
        const entry = await bucket.get(name)
        if (entry?.operation !== 'PUT') return
        const record = JSON.stringify({ ...NodeRecord.parse(JSON.parse(entry.string())), role })
        await bucket.put(name, record, { previousSeq: entry.revision })
      }),
    /** Forgets a node; absent is success. Throws `Failure`. */
    forget: async (name: string): Promise<void> => {
      const entry = await bucket.get(name)
      if (entry?.operation === 'PUT') await bucket.delete(name, { previousSeq: entry.revision })
    },
    onChange: (tell: (name: string) => void): void => void listeners.add(tell),
    ended,
  }
}

export type Nodes = Awaited<ReturnType<typeof createNodes>>

import type { Bus } from '../../shared/bus.ts'
import { NodeRecord } from '../../shared/contracts/node.ts'
import type { Log } from '../../shared/log.ts'
import { retrying, untilSet } from '../../shared/retry.ts'

interface NodesParts {
  bus: Bus
  log: Log
  signal: AbortSignal
}

interface Kept {
  /** Undefined once it was deleted. */
  record: NodeRecord | undefined
  revision: number
}

/** Every node's record as the bucket `nodes` has it, in memory; `onChange` is told of each that comes, changes or goes. */
export const createNodes = async ({ bus, log, signal }: NodesParts) => {
  const bucket = await bus.bucket('nodes')
  const known = new Map<string, Kept>()
  const listeners = new Set<(name: string) => void>()

  const watch = async (ready: () => void): Promise<void> => {
    let end: (() => void) | undefined
    signal.addEventListener('abort', () => end?.(), { once: true })
    bus.onReconnect(() => end?.())
    while (!signal.aborted) {
      const updates = await retrying(() => bucket.watch({ initializedFn: ready }), { signal, log })
      end = () => updates.stop()
      for await (const { key, operation, value, revision } of updates) {
        const record =
          operation === 'PUT'
            ? NodeRecord.safeParse(JSON.parse(new TextDecoder().decode(value))).data
            : undefined
        known.set(key, { record, revision })
        for (const tell of listeners) tell(key)
      }
    }
  }

  const { promise: ready, resolve } = Promise.withResolvers<void>()
  const ended = watch(resolve)
  await Promise.race([ready, ended])
  return {
    list: (): NodeRecord[] =>
      [...known.values()]
        .flatMap(({ record }) => record ?? [])
        .toSorted((a, b) => a.name.localeCompare(b.name)),
    get: (name: string): NodeRecord | undefined => known.get(name)?.record,
    /** Writes a record over the one that is known, if there is one. Throws `Failure` (`stale`) when another was written since. */
    write: async (record: NodeRecord): Promise<void> => {
      const { revision = 0 } = known.get(record.name) ?? {}
      const written = await bucket.put(record.name, JSON.stringify(record), { previousSeq: revision })
      known.set(record.name, { record, revision: written })
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

import { subjects } from '../subjects.ts'
import { failureOf } from './failure-of.ts'
import { unlessLost } from './lost-replies.ts'
import { jetstream } from './jetstream.ts'
import { type NatsConnection, headers } from './nats.ts'

/**
 * A key-value bucket; a key's deletion is remembered for `markTtl`, against whoever decided on it before. A write on a revision that is not the last throws `Failure` (`stale`); the rest as
 * everywhere on the bus.
 */
export const bucket = async (connection: NatsConnection, name: string, { markTtl = '1h' } = {}) => {
  const failing = async <T>(what: string, act: () => Promise<T>): Promise<T> => {
    try {
      return await unlessLost(connection, act())
    } catch (error) {
      throw failureOf(error, `cannot ${what} of ${name}`)
    }
  }
  const kv = await failing('find the keys', () =>
    jetstream(connection).views.kv(name, { bindOnly: true, allow_direct: true }),
  )

  /** The client marks a deletion for ever; the server forgets this mark by itself (Nats-TTL, ADR-48). */
  const mark = (key: string, previousSeq: number) => {
    const meta = headers()
    meta.set('KV-Operation', 'PURGE')
    meta.set('Nats-Rollup', 'sub')
    meta.set('Nats-TTL', markTtl)
    const options = { headers: meta, expect: { lastSubjectSequence: previousSeq } }
    return jetstream(connection).publish(subjects.key(name, key), '', options)
  }

  const entries = async (): Promise<{ key: string; value: string }[]> => {
    const found: { key: string; value: string }[] = []
    const all = Promise.withResolvers<void>()
    const updates = await kv.watch({ initializedFn: all.resolve })
    void all.promise.then(() => updates.stop())
    for await (const entry of updates)
      if (entry.operation === 'PUT') found.push({ key: entry.key, value: entry.string() })
    return found
  }

  return {
    get: (key: string) => failing(`read ${key}`, () => kv.get(key)),
    create: (key: string, value: string) => failing(`create ${key}`, () => kv.create(key, value)),
    put: (key: string, value: string, { previousSeq }: { previousSeq: number }) =>
      failing(`write ${key}`, () => kv.put(key, value, { previousSeq })),
    /** Deletes the key, on the revision that it was seen with; 0 if it has none. */
    delete: (key: string, { previousSeq }: { previousSeq: number }) =>
      failing(`delete ${key}`, () => mark(key, previousSeq)),
    /** Every key that has a value. */
    entries: () => failing('list the keys', entries),
    /** Of the last write to any key. */
    revision: () => failing('read the state', async () => (await kv.status()).streamInfo.state.last_seq),
    watch: (options: { initializedFn: () => void }) => failing('watch the keys', () => kv.watch(options)),
  }
}

import { failureOf } from './failure-of.ts'
import { unlessLost } from './lost-replies.ts'
import type { NatsConnection } from './nats.ts'

/** A key-value bucket. A write on a revision that is not the last throws `Failure` (`stale`); the rest as everywhere on the bus. */
export const bucket = async (connection: NatsConnection, name: string) => {
  const failing = async <T>(what: string, act: () => Promise<T>): Promise<T> => {
    try {
      return await unlessLost(connection, act())
    } catch (error) {
      throw failureOf(error, `cannot ${what} of ${name}`)
    }
  }
  const kv = await failing('find the keys', () => connection.jetstream().views.kv(name, { history: 1 }))
  return {
    get: (key: string) => failing(`read ${key}`, () => kv.get(key)),
    create: (key: string, value: string) => failing(`create ${key}`, () => kv.create(key, value)),
    put: (key: string, value: string, { previousSeq }: { previousSeq: number }) =>
      failing(`write ${key}`, () => kv.put(key, value, { previousSeq })),
    delete: (key: string, { previousSeq }: { previousSeq: number }) =>
      failing(`delete ${key}`, () => kv.delete(key, { previousSeq })),
    watch: (options: { initializedFn: () => void }) => failing('watch the keys', () => kv.watch(options)),
  }
}

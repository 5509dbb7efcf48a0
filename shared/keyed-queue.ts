/** Runs tasks of the same key one after another, tasks of different keys at once. */
export const createKeyedQueue = () => {
  const tails = new Map<string, Promise<void>>()
  return {
    /** Resolves or rejects as the task does, after every earlier task of the key has ended. */
    run: async <T>(key: string, task: () => Promise<T>): Promise<T> => {
      const before = tails.get(key)
      const { promise: ended, resolve: end } = Promise.withResolvers<void>()
      tails.set(key, ended)
      await before
      try {
        return await task()
      } finally {
        end()
        if (tails.get(key) === ended) tails.delete(key)
      }
    },
  }
}

export type KeyedQueue = ReturnType<typeof createKeyedQueue>

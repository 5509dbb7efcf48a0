import { setTimeout as delay } from 'node:timers/promises'

/** What came in a moment, and whether somebody is in a hurry for it. */
export interface Batch<T> {
  items: T[]
  hurried: boolean
}

/**
 * Collects what comes one by one and hands it on in batches: those of `waitMs` after the first, and all that came
 * while the batch before was dealt with. `hurry` ends the wait, `end` the batches once the last is taken.
 */
export const gather = <T>(waitMs: number) => {
  let items: T[] = []
  let ended = false
  let came = Promise.withResolvers<void>()
  let hurried = new AbortController()
  const hurry = (): void => hurried.abort()
  return {
    add: (item: T): void => {
      items.push(item)
      came.resolve()
    },
    hurry,
    end: (): void => {
      ended = true
      came.resolve()
      hurry()
    },
    take: async function* (): AsyncGenerator<Batch<T>> {
      for (;;) {
        if (items.length === 0 && ended) return
        await came.promise
        await delay(waitMs, undefined, { signal: hurried.signal }).catch(() => undefined) // hurried
        const batch = { items, hurried: hurried.signal.aborted }
        items = []
        if (!ended) [came, hurried] = [Promise.withResolvers<void>(), new AbortController()]
        if (batch.items.length > 0) yield batch
      }
    },
  }
}

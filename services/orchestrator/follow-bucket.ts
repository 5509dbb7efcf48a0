import type { Bus } from '../../shared/bus.ts'
import type { Log } from '../../shared/log.ts'
import { retrying } from '../../shared/retry.ts'

/** What a key of a bucket is now; a deletion has no value. */
export interface Update {
  key: string
  value: string | undefined
  revision: number
}

interface FollowParts {
  bus: Bus
  bucket: Awaited<ReturnType<Bus['bucket']>>
  update: (update: Update) => void
  /** All up to this revision of the bucket has been told, also what nothing is left of. */
  caughtUp: (revision: number) => void
  log: Log
  signal: AbortSignal
}

/**
 * Tells of every key of a bucket, then of each change, until the signal; and of all anew whenever the bus was away,
 * as well as of keys whose deletion has been forgotten since. Throws `Failure`.
 */
export const followBucket = async ({ bus, bucket, update, caughtUp, log, signal }: FollowParts) => {
  const keys = new Set<string>()
  let end: (() => void) | undefined
  const stop = () => end?.()
  signal.addEventListener('abort', stop, { once: true })
  // A watch comes back by itself, but only after it has missed heartbeats: up to ten seconds of an old list.
  bus.onReconnect(stop)

  const tell = (told: Update): void => {
    if (told.value === undefined) keys.delete(told.key)
    else keys.add(told.key)
    update(told)
  }

  const begin = async () => {
    const revision = await bucket.revision()
    const unseen = new Set(keys)
    const initialized = (): void => {
      for (const key of unseen) tell({ key, value: undefined, revision })
      caughtUp(revision)
    }
    // The client may say that all has come before any of it can be handed on.
    let early: boolean | undefined
    const initializedFn = () => (early === undefined ? void (early = true) : initialized())
    const entries = await bucket.watch({ initializedFn })
    const before = early ? entries.getPending() : undefined
    early ??= false
    if (before === 0) initialized()
    return { entries, unseen, initialized, before }
  }

  while (!signal.aborted) {
    const begun = await retrying(begin, { signal, log }).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
    if (!begun) return
    const { entries, unseen, initialized, before } = begun
    end = () => entries.stop()
    if (signal.aborted) end()
    let came = 0
    for await (const { key, operation, value, revision } of entries) {
      unseen.delete(key)
      tell({ key, value: operation === 'PUT' ? new TextDecoder().decode(value) : undefined, revision })
      came += 1
      if (came === before) initialized()
    }
  }
}

import { Failure } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { operating } from '../../shared/operating.ts'
import { type Recorder, createRecorder } from '../../shared/recorder.ts'
import { renameSubvolume, subvolumeState } from './btrfs.ts'
import { type ReadyRoot, createRootMaker, slots } from './root-maker.ts'
import type { StorageHost } from './root-snapshot.ts'

/** Images that roots are kept ready of: those that were used last. */
const mostImages = 4

/**
 * How long after the last launch has begun, longer than one takes on a slow host: it has the processors and the disk
 * to itself, and what waits for a commit of its own must not make others wait.
 */
const quietMs = 100

/** What there is of one image. */
interface Stock {
  roots: ReadyRoot[]
  /** Containers that wait for one. */
  waiting: number
  /** Roots that were taken since launches last paused. */
  taken: number
  /** Whether it made any. */
  making?: Promise<boolean> | undefined
}

interface ReadyRootsParts {
  host: () => StorageHost
  /** Keeps the file system from being released meanwhile. */
  inUse: <T>(act: () => Promise<T>) => Promise<T>
}

/** Fills what was taken from when launches pause; a failure is told in the service's log. */
const createRefill = (fill: () => Promise<void>) => {
  let log: Log | undefined
  let timer: NodeJS.Timeout | undefined
  let filling = false

  const refill = async (): Promise<void> => {
    if (filling) return schedule()
    filling = true
    try {
      await operating('make roots ahead of need', fill)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      log?.warn({ reason: error.message }, 'no roots are made ahead of need')
    } finally {
      filling = false
    }
  }

  const schedule = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => void refill(), quietMs)
    timer.unref()
  }

  return { schedule, begin: (to: Log): void => void (log = to) }
}

/**
 * Snapshots of images that no container has yet: to make one waits for btrfs to write a transaction, to
 * rename one does not. A loss of power may take the rename back until the next transaction, which the
 * snapshot that takes its place writes; btrfs commits it with whatever the container syncs before
 * (`btrfs_rename`), so nothing of a container is ever in a root that is ready. When launches do not pause, those
 * that find none wait for some that are made together, in one transaction.
 */
export const createReadyRoots = ({ host, inUse }: ReadyRootsParts) => {
  const stocks = new Map<string, Stock>()
  const { make, discard, prepare } = createRootMaker(host)

  const forget = async (digest: string, record: Recorder): Promise<void> => {
    const roots = stocks.get(digest)?.roots ?? []
    stocks.delete(digest)
    await discard(
      roots.map(({ path }) => path),
      record,
    )
  }

  const add = async (digest: string, stock: Stock): Promise<void> => {
    const root = await make(digest)
    if (!root) return
    if (stocks.get(digest) === stock) stock.roots.push(root)
    else await discard([root.path], createRecorder())
  }

  /** Makes so many at once. Throws the first failure when all have ended. */
  const addTogether = async (digest: string, stock: Stock, count: number): Promise<void> => {
    const added = await Promise.allSettled(Array.from({ length: count }, () => add(digest, stock)))
    const failed = added.find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
  }

  const fill = async (): Promise<void> => {
    const record = createRecorder()
    for (const digest of [...stocks.keys()].slice(0, -mostImages)) await forget(digest, record)
    for (const [digest, stock] of Array.from(stocks)) {
      const wanted = host().config.host.readyRoots
      const surplus = stock.roots.splice(wanted)
      stock.taken = 0
      await addTogether(digest, stock, wanted - stock.roots.length)
      await discard(
        surplus.map(({ path }) => path),
        record,
      )
    }
  }

  const { schedule, begin } = createRefill(() => inUse(fill))

  /** Makes as many as wait, or have been taken without a pause; answers whether it made any. */
  const makeMore = async (digest: string, stock: Stock): Promise<boolean> => {
    try {
      await addTogether(digest, stock, Math.min(slots, Math.max(stock.waiting, stock.taken)))
    } catch (error) {
      if (!(error instanceof Failure)) throw error // whoever waits makes its own, and tells why it cannot
    } finally {
      stock.making = undefined
      schedule()
    }
    return stock.roots.length > 0
  }

  /** The next one; undefined when it is best made by itself, or when none can be made. */
  const next = async (digest: string, stock: Stock): Promise<ReadyRoot | undefined> => {
    const isFirst = ++stock.taken === 1
    stock.waiting++
    try {
      while (stock.roots.length === 0) {
        if (isFirst && !stock.making) return undefined
        if (!(await (stock.making ??= makeMore(digest, stock)))) return undefined
      }
      return stock.roots.shift()
    } finally {
      stock.waiting--
    }
  }

  return {
    /** Deletes what an earlier process had ready. */
    prepare: async (context: { record: Recorder; log: Log }): Promise<void> => {
      begin(context.log)
      await prepare(context.record)
    },
    /** Makes a ready root of the image the one at `path`; answers false when there is none. Has others made later. */
    take: async (digest: string, path: string, record: Recorder): Promise<boolean> => {
      if (host().config.host.readyRoots === 0) return false
      const asked = performance.now()
      const stock = stocks.get(digest) ?? { roots: [], waiting: 0, taken: 0 }
      // The image that was used last comes last.
      stocks.delete(digest)
      stocks.set(digest, stock)
      schedule()
      for (let root = await next(digest, stock); root; root = await next(digest, stock)) {
        if ((await subvolumeState(root.path)) === 'absent') continue
        const ahead = root.at < asked
        record.append(root.made.map((entry) => (ahead ? { ...entry, ahead } : entry)))
        try {
          await renameSubvolume(record, root.path, path)
          return true
        } catch (error) {
          stock.roots.push(root)
          throw error
        }
      }
      return false
    },
    /** Deletes the ready roots of an image, so that its space is free when it is removed. */
    forget,
  }
}

export type ReadyRoots = ReturnType<typeof createReadyRoots>

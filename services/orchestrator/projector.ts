import { setTimeout as delay } from 'node:timers/promises'
import type { Bus } from '../../shared/bus.ts'
import { checkpointType } from '../../shared/contracts/checkpoint.ts'
import type { StoredEvent } from '../../shared/contracts/event.ts'
import type { Log } from '../../shared/log.ts'
import { Failure } from '../../shared/failure.ts'
import { backoffMs } from '../../shared/retry.ts'
import { bounded } from './checkpoint.ts'
import { type View, tellParked, viewContainer, viewLog } from './parked.ts'
import { createRecentLogs } from './recent-logs.ts'

/** Journal events that change nothing a list shows. */
const silent = new Set(['saga.progressed', 'saga.resumed', 'container.rejected', checkpointType])

const isSilent = ({ event }: StoredEvent): boolean => event !== undefined && silent.has(event.type)

/** How long the list does without a container that is being made: most are whole before, and take one write. */
const launchMs = 250

/** Whether a launch that has just begun is all that is told: by clocks that agree. */
export const isJustBegun = (came: readonly StoredEvent[]): boolean =>
  came.every(
    ({ event, expected }) =>
      event?.type === 'saga.started' &&
      expected === 0 &&
      Math.abs(Date.now() - Date.parse(event.time)) < launchMs,
  )

interface ProjectorParts {
  bus: Bus
  bucket: Awaited<ReturnType<Bus['bucket']>>
  /** The node that a container counts to whose log does not say any. */
  node: string
  log: Log
  signal: AbortSignal
}

/** What the list says of a container: a value, or the mark of a deletion. */
interface Entry {
  revision: number
  isMark: boolean
}

/** Writes to the `containers` bucket what the logs of containers come to. */
export const createProjector = ({ bus, bucket, node, log, signal }: ProjectorParts) => {
  const recent = createRecentLogs()

  const write = async (id: string, view: View, entry: Entry | undefined): Promise<void> => {
    const { container, known, events, failure } = view
    if (failure) await tellParked(bus, id, { events, failure })
    if (known) await bounded({ bus, log }, id, known)
    const previousSeq = entry?.revision ?? 0
    if (container && container.status !== 'deleted' && container.status !== 'failed') {
      const revision = await bucket.put(id, JSON.stringify(container), { previousSeq })
      if (known?.saga && known.saga.phase !== 'ended') recent.keep(id, { events: [...events], revision })
      return
    }
    // Without a mark another orchestrator could still bring it back, out of a log that it read before.
    const isMarked = entry ? entry.isMark : !container
    if (!isMarked) await bucket.delete(id, { previousSeq })
  }

  const readAndWrite = async (id: string): Promise<void> => {
    // The entry first: if it is still the last when it is replaced, what is written is no older than what it said.
    const entry = await bucket.get(id)
    const seen = entry === null ? undefined : { revision: entry.revision, isMark: entry.operation !== 'PUT' }
    await write(id, await viewContainer(bus, id, node), seen)
  }

  /** Goes on from what was written last, without a look at the log; answers false when that is needed. */
  const follow = async (id: string, came: readonly StoredEvent[]): Promise<boolean> => {
    const followed = recent.follow(id, came)
    if (!followed) return false
    const { events, revision } = followed
    if (came.every(isSilent)) recent.keep(id, followed)
    else await write(id, viewLog(events, id, node), revision > 0 ? { revision, isMark: false } : undefined)
    return true
  }

  /** Projects a container's log as it is now, trying until it is done. */
  const project = async (id: string): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await readAndWrite(id)
      } catch (error) {
        if (!(error instanceof Failure) || signal.aborted) throw error
        const again = error.retryable || error.code === 'stale'
        log[again ? 'debug' : 'warn']({ container: id, reason: error.message }, 'container not projected')
        if (!again) return
        await delay(backoffMs(attempt), undefined, { signal }).catch(() => Promise.reject(error))
      }
    }
  }

  return {
    project,
    /** Projects events of one container as they come, in the order of the log. */
    take: async (id: string, came: readonly StoredEvent[]): Promise<void> => {
      const isFollowed = await follow(id, came).catch((error: unknown) => {
        if (error instanceof Failure) return false // `project` meets it again, or another has written meanwhile
        throw error
      })
      if (!isFollowed && !came.every(isSilent)) await project(id)
    },
  }
}

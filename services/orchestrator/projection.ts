import { setTimeout as delay } from 'node:timers/promises'
import type { Bus } from '../../shared/bus.ts'
import { Container } from '../../shared/contracts/container.ts'
import type { StoredEvent } from '../../shared/contracts/event.ts'
import type { Log } from '../../shared/log.ts'
import { idOfEvent } from '../../shared/subjects.ts'
import { Failure } from '../../shared/failure.ts'
import { type Update, followBucket } from './follow-bucket.ts'
import { createProjector, isJustBegun } from './projector.ts'

/** How long a question waits for the list to take in what is already on the log. */
const behindMs = 2000

/** Says in the bucket that the whole log has been projected to it; no id has such a character. */
const completeKey = '=complete'

interface ProjectionParts {
  bus: Bus
  /** The node that a container counts to whose log does not say any. */
  node: string
  log: Log
  signal: AbortSignal
}

/**
 * The containers of the fleet: the `containers` bucket, projected from the log by whichever orchestrator
 * takes an event, and a copy of it in memory that a watch keeps up to date.
 */
export const createProjection = async ({ bus, node, log, signal }: ProjectionParts) => {
  const bucket = await bus.bucket('containers')
  const known = new Map<string, Container>()
  const listeners = new Set<(before: Container | undefined, after: Container | undefined) => void>()
  let seen = 0

  const projector = createProjector({ bus, bucket, node, log, signal })

  const update = ({ key, value, revision }: Update): void => {
    seen = Math.max(seen, revision)
    if (key === completeKey) return
    const container = value === undefined ? undefined : Container.safeParse(JSON.parse(value)).data
    const before = known.get(key)
    if (container) known.set(key, container)
    else known.delete(key)
    for (const tell of listeners) tell(before, container)
  }

  const consume = () => {
    const handle = async (events: readonly StoredEvent[], hurried: boolean): Promise<StoredEvent[]> => {
      const byId = [...Map.groupBy(events, ({ subject }) => idOfEvent(subject))]
      const { later = [], now = [] } = Object.groupBy(byId, ([, came]) =>
        !hurried && isJustBegun(came) ? 'later' : 'now',
      )
      await Promise.all(now.map(([id, came]) => projector.take(id, came)))
      return later.flatMap(([, came]) => came)
    }
    const { hurry, ended } = bus.consumeEvents('projector', handle, signal)
    return {
      hurry,
      ended: ended.catch((error: unknown) => {
        if (!signal.aborted) throw error // else the events stay unacknowledged, for another orchestrator
      }),
    }
  }

  /** Projects every container of the log, and drops those that it does not know; answers how many there are now. */
  const rebuild = async (): Promise<number> => {
    for (const id of new Set([...known.keys(), ...(await bus.idsOf('container'))]))
      await projector.project(id)
    const mark = await bucket.get(completeKey)
    // Of two that start at once one is the first to say it.
    const said = (error: unknown): void => {
      if (!(error instanceof Failure) || error.code !== 'stale') throw error
    }
    if (mark?.operation !== 'PUT') await bucket.create(completeKey, '1').catch(said)
    return known.size
  }

  /** Waits, for a moment, until the list shows what is on the log now: whoever made it asks for it next. Answers whether it does. */
  const current = async (): Promise<boolean> => {
    const { lastSequence } = await bus.logState()
    const until = Date.now() + behindMs
    const shown = async () =>
      (await bus.hasConsumed('projector', lastSequence)) && seen >= (await bucket.revision())
    while (!(await shown())) {
      if (Date.now() > until || signal.aborted) return false
      consuming.hurry()
      await delay(5)
    }
    return true
  }

  const { promise: ready, resolve } = Promise.withResolvers<void>()
  const caughtUp = (revision: number): void => {
    // Above the last entry: nothing is left of a deletion after a while.
    seen = Math.max(seen, revision)
    resolve()
  }
  const following = followBucket({ bus, bucket, update, caughtUp, log, signal })
  await Promise.race([ready, following])
  if ((await bucket.get(completeKey))?.operation !== 'PUT') await rebuild()
  const consuming = consume()
  return {
    list: (): Container[] => [...known.values()].toSorted((a, b) => b.createdAt.localeCompare(a.createdAt)),
    get: (id: string) => known.get(id),
    idOfName: (name: string) => [...known.values()].find((container) => container.name === name)?.id,
    /** Calls back with what a container was and is now; undefined where it is not. */
    onChange: (tell: (before: Container | undefined, after: Container | undefined) => void): void =>
      void listeners.add(tell),
    /** Of the last write to the bucket that the list has taken in. */
    revision: () => seen,
    /** Waits, for a moment, until the list has taken in a write to the bucket; answers whether it has. */
    reaches: async (revision: number): Promise<boolean> => {
      const until = Date.now() + behindMs
      while (seen < revision && Date.now() < until) await delay(5)
      return seen >= revision
    },
    rebuild,
    current,
    ended: Promise.all([following, consuming.ended]),
  }
}

export type Projection = Awaited<ReturnType<typeof createProjection>>

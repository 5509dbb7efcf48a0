import { setTimeout as delay } from 'node:timers/promises'
import { bucket } from './bus/bucket.ts'
import { openConnection, watchStatus } from './bus/connection.ts'
import { ensureStreams } from './bus/ensure-streams.ts'
import { eventConsumers } from './bus/event-consumers.ts'
import { eventLog } from './bus/event-log.ts'
import { followEvents } from './bus/follow-events.ts'
import { createInbox } from './bus/nats.ts'
import { requests } from './bus/requests.ts'
import { workQueue } from './bus/work-queue.ts'
import type { Config } from './config.ts'
import { Failure, reasonOf } from './failure.ts'
import type { Log } from './log.ts'
import { patienceMs } from './patience.ts'

/** How long a connection that closes waits for its requests in hand, and then for the server, in milliseconds. */
const closeWithinMs = [1000, 2000] as const

const within = (ms: number, act: Promise<unknown>): Promise<unknown> =>
  Promise.race([act, delay(patienceMs(ms), undefined, { ref: false })])

/**
 * Connects to the bus as `role`; once connected it reconnects for ever, and with `patient` it waits for the
 * first connection too. A server in the midst of reading its users may drop a connection without a word: who expects
 * that says `withinMs` and tries again. Throws `Failure` (`unavailable`, `not_permitted`, `host_unfit`).
 */
export const connectBus = async (
  config: Config,
  { role, log, patient = true, withinMs }: { role: string; log: Log; patient?: boolean; withinMs?: number },
) => {
  const connection = await openConnection(config, role, { patient, withinMs })
  const asking = requests(connection, log)
  const { closing, ...events } = eventLog(connection, `/dolly/${config.node}/${role}/${process.pid}`, log)
  const reconnected = new Set<() => void>()
  const isAway = watchStatus(connection, log, reconnected)
  return {
    ...asking,
    ...workQueue(connection),
    ...events,
    ...eventConsumers(connection, log),
    followEvents: followEvents({ connection, log, reconnected }),
    info: () => ({ url: connection.getServer(), version: connection.info?.version ?? '' }),
    /** Whether the server is away now. */
    isAway,
    /** Calls back whenever the server was away: what was on its way then may have been lost. */
    onReconnect: (tell: () => void): void => void reconnected.add(tell),
    bucket: (name: string, options?: { markTtl: string }) => bucket(connection, name, options),
    ensureStreams: () => ensureStreams(connection, config),
    /** Tells everyone that a service is (again) there, so that nobody waits for a reply that will not come. */
    announce: (node: string, service: string): void => {
      const data = { node, service, pid: process.pid }
      events
        .publishEvent({
          kind: 'service',
          id: `${node}-${service}`,
          type: 'service.started',
          data,
          messageId: createInbox(),
        })
        .catch((error: unknown) => log.warn({ reason: reasonOf(error) }, 'start not announced'))
    },
    /** Answers requests in hand, for a moment, and sends what is to be sent; then the connection is closed. */
    close: async (): Promise<void> => {
      closing.abort(new Failure('interrupted', 'the bus connection is closing'))
      const ending = async () => {
        await within(closeWithinMs[0], asking.endServing())
        await within(closeWithinMs[1], connection.drain())
      }
      // A lost server cannot be drained, and may never come back; one that is still there may not answer.
      if (!isAway())
        await ending().catch((error: unknown) => log.debug({ reason: reasonOf(error) }, 'not drained'))
      await connection.close()
    },
  }
}

export type Bus = Awaited<ReturnType<typeof connectBus>>

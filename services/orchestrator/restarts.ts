import type { Bus } from '../../shared/bus.ts'
import { autoRemoveId } from '../../shared/contracts/command.ts'
import type { Container } from '../../shared/contracts/container.ts'
import type { ToldEvent } from '../../shared/bus/event-consumers.ts'
import type { CloudEvent, StoredEvent } from '../../shared/contracts/event.ts'
import * as host from '../../shared/contracts/operations.ts'
import { Failure, type FailureCode } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { idOfEvent, subjects } from '../../shared/subjects.ts'
import { foldContainer, readContainer } from './container-log.ts'
import type { Projection } from './projection.ts'
import type { Reach } from './reach.ts'
import { restartDelayMs, wantsRestart } from './restart-policy.ts'
import { redoSteps } from './restore.ts'
import type { Executor } from './saga/perform.ts'

interface StarterParts {
  bus: Bus
  executor: Executor
  reach: Reach
}

/** Makes anew what the kernel has lost of a container that has ended (a reboot). Throws `Failure`. */
export const restore = async (executor: Executor, { id, spec, sequence }: Container): Promise<void> => {
  if (spec.networkMode === 'lab') {
    throw new Failure(
      'unsupported',
      `container ${id} was wired by hand (network_mode lab): delete it and create it anew`,
    )
  }
  await redoSteps({ executor, spec, fence: sequence })
}

/** Makes of a container that has ended one whose init waits for its start; again without harm. Throws `Failure`. */
export const createInitializer =
  ({ executor, reach }: Pick<StarterParts, 'executor' | 'reach'>) =>
  async (container: Container): Promise<void> => {
    await restore(executor, container)
    await reach.ask(container.node, host.processInit, { id: container.id }, 60_000)
  }

export type Initializer = ReturnType<typeof createInitializer>

/** Starts a container that is created or has ended. Throws `Failure`. */
export const createStarter =
  ({ bus, executor, reach }: StarterParts) =>
  async (container: Container, { restart = false } = {}): Promise<void> => {
    const { id, node, status, spec } = container
    if (status === 'stopped') await restore(executor, container)
    const { pid, startedAt } = await reach.ask(node, host.processStart, { id }, 60_000)
    // A user's stop that came while the policy was starting it found nothing to stop.
    if (restart && (await readContainer(bus, id)).container?.stoppedByUser) {
      await reach.ask(node, host.processStop, { id, graceMs: spec.stopGraceMs }, spec.stopGraceMs + 20_000)
      return
    }
    const data = { pid, startedAt, ...(restart ? { restart } : {}) }
    const messageId = `${id}:container.started:${pid}:${startedAt}`
    await bus.publishEvent({ kind: 'container', id, type: 'container.started', messageId, data })
  }

export type Starter = ReturnType<typeof createStarter>

/** Deliveries to wait for the start that an exit belongs to; whoever started it may have died before telling. */
const mostWaits = 30

const isStartTold = (events: readonly StoredEvent[], { data: { startedAt } }: CloudEvent): boolean => {
  const text = JSON.stringify({ startedAt }).slice(1, -1)
  return events.some(
    ({ event, raw }) => event?.type !== 'container.exited' && startedAt !== undefined && raw.includes(text),
  )
}

/** What time does not heal: the container has gone, or can never be started again. */
const hopeless = new Set<FailureCode>(['not_found', 'conflict', 'stale', 'unsupported', 'invalid_message'])

interface FollowParts {
  bus: Bus
  start: Starter
  projection: Pick<Projection, 'get'>
  log: Log
}

/** Follows exits, whichever orchestrator takes each, and starts again what its restart policy wants. */
export const followExits = (
  { bus, start, projection, log }: FollowParts,
  signal: AbortSignal,
): Promise<void> => {
  /** Nothing follows the end of most containers, which the list knows if it shows the run that has ended. */
  const isIndifferent = (id: string, messageId: string): boolean => {
    const { spec, startedAt } = projection.get(id) ?? {}
    const isSameRun = startedAt !== undefined && messageId.endsWith(`:${startedAt}`)
    return isSameRun && spec?.restart === 'no' && !spec.autoRemove
  }

  /** Once for an exit, however often it is tried again. */
  const tell = async (id: string, sequence: number, { code, message }: Failure): Promise<void> => {
    const messageId = `${id}:restart-failed:${sequence}`
    if ((await bus.journal('container', id)).some(({ event }) => event?.id === messageId)) return
    const data = { id, code, reason: message }
    await bus.publishEvent({ kind: 'container', id, type: 'container.restart-failed', messageId, data })
  }

  const follow = async (id: string, sequence: number, deliveries: number): Promise<number | undefined> => {
    const events = await bus.journal('container', id)
    const event = events.find((stored) => stored.sequence === sequence)?.event
    if (event?.type !== 'container.exited') return undefined
    try {
      const { container } = foldContainer(events)
      // A quick process ends before its start is told, and the count of restarts is not known before that.
      if (container?.status === 'creating') return restartDelayMs(0)
      if (!isStartTold(events, event) && deliveries < mostWaits) return restartDelayMs(0)
      if (container?.status === 'stopped' && container.spec.autoRemove) {
        await bus.publishCommand(subjects.delete, { id }, { messageId: autoRemoveId(id, sequence) })
      }
      if (container?.status !== 'stopped' || !wantsRestart(container)) return undefined
      const pauseMs = restartDelayMs(container.restarts ?? 0)
      const waitedMs = Math.max(0, Date.now() - Date.parse(event.time))
      if (waitedMs < pauseMs) return pauseMs - waitedMs
      await start(container, { restart: true })
      return undefined
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      log.warn({ container: id, reason: error.message, deliveries }, 'container not restarted')
      await tell(id, sequence, error)
      return hopeless.has(error.code) ? undefined : restartDelayMs(deliveries)
    }
  }

  const consider = async ({ subject, sequence, type, messageId }: ToldEvent, deliveries: number) => {
    const id = idOfEvent(subject)
    if ((type ?? 'container.exited') !== 'container.exited' || isIndifferent(id, messageId)) return undefined
    try {
      return await follow(id, sequence, deliveries)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      // The bus is away: nothing is known of the container, and nothing can be told.
      log.warn({ container: id, reason: error.message, deliveries }, 'an exit is looked at later')
      return restartDelayMs(deliveries)
    }
  }
  return bus.considerEvents({ durable: 'restarts', urgent: 'container.exited' }, consider, signal)
}

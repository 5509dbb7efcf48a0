import type { Bus } from '../../shared/bus.ts'
import type { Container } from '../../shared/contracts/container.ts'
import * as host from '../../shared/contracts/operations.ts'
import { Failure, type FailureCode } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { idOfEvent } from '../../shared/subjects.ts'
import { readContainer } from './container-log.ts'
import type { Reach } from './reach.ts'
import { restartDelayMs, wantsRestart } from './restart-policy.ts'
import { redoSteps } from './restore.ts'
import type { Executor } from './saga/perform.ts'

interface StarterParts {
  bus: Bus
  executor: Executor
  reach: Reach
}

/**
 * Starts a container that is created or has ended; what the kernel has lost meanwhile (a reboot) is made
 * anew first. Throws `Failure`.
 */
export const createStarter =
  ({ bus, executor, reach }: StarterParts) =>
  async ({ id, node, status, spec, sequence }: Container, { restart = false } = {}): Promise<void> => {
    if (status === 'stopped' && spec.networkMode === 'lab') {
      throw new Failure(
        'unsupported',
        `container ${id} was wired by hand (network_mode lab): delete it and create it anew`,
      )
    }
    if (status === 'stopped') await redoSteps({ executor, spec, fence: sequence })
    const { pid, startedAt } = await reach.ask(node, host.processStart, { id }, 60_000)
    const { container } = await readContainer(bus, id)
    // A user's stop that came while the policy was starting it found nothing to stop.
    if (restart && container?.stoppedByUser) {
      await reach.ask(node, host.processStop, { id, graceMs: spec.stopGraceMs }, spec.stopGraceMs + 20_000)
      return
    }
    const data = { pid, startedAt, ...(restart ? { restart } : {}) }
    const messageId = `${id}:container.started:${pid}:${startedAt}`
    await bus.publishEvent({ kind: 'container', id, type: 'container.started', messageId, data })
  }

export type Starter = ReturnType<typeof createStarter>

/** What time does not heal: the container has gone, or can never be started again. */
const hopeless = new Set<FailureCode>(['not_found', 'conflict', 'stale', 'unsupported', 'invalid_message'])

/** Follows exits, whichever orchestrator takes each, and starts again what its restart policy wants. */
export const followExits = (bus: Bus, start: Starter, log: Log, signal: AbortSignal): Promise<void> => {
  const tell = async (id: string, sequence: number, { code, message }: Failure): Promise<void> => {
    const messageId = `${id}:restart-failed:${sequence}`
    const data = { id, code, reason: message }
    await bus.publishEvent({ kind: 'container', id, type: 'container.restart-failed', messageId, data })
  }

  return bus.considerEvents(
    'restarts',
    async ({ subject, sequence, event }, deliveries) => {
      if (event?.type !== 'container.exited') return undefined
      const id = idOfEvent(subject)
      try {
        const { container } = await readContainer(bus, id)
        if (container?.status !== 'stopped' || !wantsRestart(container)) return undefined
        if (deliveries <= 1) return restartDelayMs(container.restarts ?? 0)
        await start(container, { restart: true })
        return undefined
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        log.warn({ container: id, reason: error.message, deliveries }, 'container not restarted')
        if (deliveries === 2 || hopeless.has(error.code)) await tell(id, sequence, error)
        return hopeless.has(error.code) ? undefined : restartDelayMs(deliveries)
      }
    },
    signal,
  )
}

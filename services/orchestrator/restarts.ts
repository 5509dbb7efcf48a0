import type { Bus } from '../../shared/bus.ts'
import type { Container } from '../../shared/contracts/container.ts'
import * as host from '../../shared/contracts/operations.ts'
import { Failure, reasonOf } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { idOfEvent } from '../../shared/subjects.ts'
import { readContainer } from './container-log.ts'
import type { Reach } from './reach.ts'
import { restartDelayMs, restoreSteps, wantsRestart } from './restore.ts'
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
    if (status === 'stopped') await restoreSteps(executor, spec, sequence)
    const { pid, startedAt } = await reach.ask(node, host.processStart, { id }, 60_000)
    const data = { pid, startedAt, ...(restart ? { restart } : {}) }
    const messageId = `${id}:container.started:${pid}:${startedAt}`
    await bus.publishEvent({ kind: 'container', id, type: 'container.started', messageId, data })
  }

export type Starter = ReturnType<typeof createStarter>

/** Follows exits, whichever orchestrator takes each, and starts again what its restart policy wants. */
export const followExits = (bus: Bus, start: Starter, log: Log, signal: AbortSignal): Promise<void> =>
  bus.considerEvents(
    'restarts',
    async ({ subject, event }, deliveries) => {
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
        log.warn({ container: id, reason: reasonOf(error) }, 'container not restarted')
        return error.retryable ? 5000 : undefined
      }
    },
    signal,
  )

import type { Command } from '../../shared/contracts/command.ts'
import { ContainerId } from '../../shared/contracts/identity.ts'
import { Failure, reasonOf } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { subjects } from '../../shared/subjects.ts'
import { parseJson } from '../../shared/wire.ts'
import { idOfCommand } from './command-id.ts'
import { type Act, type ContainerRuns, Refusal } from './container-runs.ts'
import { Lost } from './saga/ledger.ts'

/** A command that ended neither well nor badly this often is refused: something about it ends orchestrators. */
const maxDeliveries = 1000

/** Deliveries after which a command that meets a bug is refused, so that it does not end orchestrators for ever. */
const mostBugs = 5

interface DeliveryParts {
  runs: ContainerRuns
  /** What carries out each command, by subject. */
  acts: Record<string, Act>
  log: Log
  ackWaitMs: number
  signal: AbortSignal
  idOfName: (name: string) => Promise<string | undefined>
}

const waitMs = (deliveries: number): number => Math.min(50 * deliveries, 1000)

/** Takes commands as the work queue delivers them: each stays unacknowledged, kept alive, until it has its outcome. */
export const createDeliveries = ({ runs, acts, log, ackWaitMs, signal, idOfName }: DeliveryParts) => {
  const inHand = new Map<string, Command>()

  const idOf = async (delivery: Command, body: unknown): Promise<string> => {
    const { id, name } = (typeof body === 'object' && body !== null ? body : {}) as {
      id?: unknown
      name?: unknown
    }
    if (ContainerId.safeParse(id).success) return String(id)
    const named =
      delivery.subject === subjects.delete && typeof name === 'string' ? await idOfName(name) : undefined
    return named ?? idOfCommand(delivery)
  }

  const settle = async (error: unknown, id: string, commandId: string, command: Command): Promise<void> => {
    if (error instanceof Lost || signal.aborted)
      return command.release(signal.aborted ? 0 : waitMs(command.deliveries))
    if (error instanceof Refusal) {
      if (!(await runs.reject(id, commandId, error.failure, error.sequence)))
        return command.release(waitMs(command.deliveries))
      log.info({ container: id, code: error.failure.code, reason: error.message }, 'command rejected')
      return command.reject(error.failure.code)
    }
    if (!(error instanceof Failure)) {
      if (command.deliveries >= mostBugs) {
        const reason = `cannot carry out the command: a bug has ended the orchestrator: ${reasonOf(error)}`
        await runs.reject(id, commandId, new Failure('system', reason, { cause: error }))
        command.reject('system')
      }
      throw error
    }
    if (error.retryable && command.deliveries < maxDeliveries) {
      log.warn({ container: id, reason: error.message }, 'command put back')
      return command.release(1000)
    }
    log.info({ container: id, code: error.code, reason: error.message }, 'command rejected')
    await runs.reject(id, commandId, error)
    command.reject(error.code)
  }

  return {
    handle: async (delivery: Command): Promise<void> => {
      const commandId = delivery.messageId ?? `COMMANDS:${delivery.sequence}`
      const again = inHand.has(commandId)
      inHand.set(commandId, delivery)
      if (again) return
      const latest = () => inHand.get(commandId) ?? delivery
      const alive = setInterval(() => latest().working(), ackWaitMs / 3)
      let id = idOfCommand(delivery)
      try {
        const body = parseJson(delivery.body)
        id = await idOf(delivery, body)
        const act = acts[delivery.subject]
        if (!act) throw new Failure('unsupported', `no command ${delivery.subject}`)
        if (await act(delivery, body, id, commandId)) await latest().done()
        else latest().release(waitMs(delivery.deliveries))
      } catch (error) {
        await settle(error, id, commandId, latest()).catch((said: unknown) => {
          if (!(said instanceof Failure)) throw said
          // Whoever the command is delivered to next tells it.
          if (signal.aborted) return
          log.error({ container: id, reason: said.message }, 'outcome not told')
          latest().release(1000)
        })
      } finally {
        clearInterval(alive)
        inHand.delete(commandId)
      }
    },
    /** Whether no command is in hand. */
    idle: (): boolean => inHand.size === 0,
  }
}

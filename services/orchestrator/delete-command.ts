import type { Bus } from '../../shared/bus.ts'
import { ContainerCreate, ContainerDelete } from '../../shared/contracts/container-create.ts'
import { Failure } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { subjects } from '../../shared/subjects.ts'
import { parseInput, parseJson } from '../../shared/wire.ts'
import { bounded } from './checkpoint.ts'
import { idOfCommand } from './command-id.ts'
import { type ContainerLog, readContainer } from './container-log.ts'
import { type Act, type ContainerRuns, deciding, isGone } from './container-runs.ts'

interface DeleteParts {
  bus: Bus
  log: Log
  runs: ContainerRuns
}

type Pending = Awaited<ReturnType<Bus['pendingCommands']>>[number]

/** Carries out `container.delete`: the reverse of the container's journal, or the cancellation of its launch. */
export const deleteCommand = ({ bus, log, runs }: DeleteParts): Act => {
  const asksFor = (id: string, command: Pending): boolean => {
    try {
      return (ContainerCreate.parse(parseJson(command.body)).id ?? idOfCommand(command)) === id
    } catch {
      return false // not a valid create: it will be rejected and makes nothing
    }
  }

  /** A create published before this delete that has neither begun nor ended. */
  const comingBefore = async (
    sequence: number,
    id: string,
    { answered }: ContainerLog,
  ): Promise<string | undefined> =>
    (await bus.pendingCommands(subjects.create, sequence))
      .filter((one) => asksFor(id, one))
      .map(({ sequence: at, messageId = `COMMANDS:${at}` }) => messageId)
      .find((messageId) => !answered.has(messageId))

  const isHere = ({ saga, container }: ContainerLog): boolean =>
    saga !== undefined && container !== undefined && !isGone(saga)

  /** Nothing is there: because this very command has cancelled it, because it is still to come, or at all. */
  const settleAbsent = async (
    { sequence, id, commandId }: { sequence: number; id: string; commandId: string },
    known: ContainerLog,
  ): Promise<boolean> => {
    const { cancelledBy, container, content, events } = known
    const coming = await comingBefore(sequence, id, known)
    if (coming !== undefined) {
      const data = { id, code: 'cancelled', reason: 'deleted while it waited', cancelledBy: commandId }
      // Whoever is about to begin it expects the log as it was before this.
      if (!(await runs.outcome(id, 'container.failed', coming, data, content.sequence))) return false
      bus.hintAt(id)
      return settleAbsent({ sequence, id, commandId }, await readContainer(bus, id))
    }
    if (cancelledBy === commandId || events.some(({ event }) => event?.data['cancelledBy'] === commandId)) {
      const data = { id, name: container?.name, cancelled: true }
      return runs.outcome(id, 'container.deleted', commandId, data, content.sequence)
    }
    // It may have come, and its command gone, between the look at the log and that at the queue.
    if (isHere(await readContainer(bus, id))) return false
    throw new Failure('not_found', `no such container: ${id}`)
  }

  return async ({ sequence }, body, id, commandId) => {
    const { force } = parseInput(ContainerDelete, body)
    const known = await readContainer(bus, id)
    const { saga, container } = known
    await bounded({ bus, log }, id, known)
    if (known.answered.has(commandId)) return true
    if (saga === undefined || container === undefined || isGone(saga))
      return deciding(known, () => settleAbsent({ sequence, id, commandId }, known))
    if (!force && container.status === 'running') {
      return deciding(known, () => {
        throw new Failure('conflict', `container ${id} is running: stop it first, or delete it with force`)
      })
    }
    const run = runs.open(id, commandId, known)
    if (saga.phase === 'forward') {
      await run.cancel('deleted while it was created')
      await runs.refresh(id)
      return false
    }
    if (saga.phase === 'backward' && known.unwoundBy !== commandId) return false
    if (!(await (saga.phase === 'backward' ? run.resume() : run.unwind('deleted')))) return false
    await runs.drive(id, run)
    return true
  }
}

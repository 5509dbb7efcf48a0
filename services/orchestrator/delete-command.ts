import type { Bus } from '../../shared/bus.ts'
import { ContainerCreate, ContainerDelete } from '../../shared/contracts/container-create.ts'
import { Failure } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { subjects } from '../../shared/subjects.ts'
import { parseInput, parseJson } from '../../shared/wire.ts'
import { bounded } from './checkpoint.ts'
import { type ContainerLog, readContainer } from './container-log.ts'
import { type Act, type ContainerRuns, deciding, isGone } from './container-runs.ts'

interface DeleteParts {
  bus: Bus
  log: Log
  runs: ContainerRuns
}

/** Carries out `container.delete`: the reverse of the container's journal, or the cancellation of its launch. */
export const deleteCommand = ({ bus, log, runs }: DeleteParts): Act => {
  const asksFor = (id: string) => (body: Uint8Array) => {
    try {
      return ContainerCreate.parse(parseJson(body)).id === id
    } catch {
      return false // not a valid create: it will be rejected and makes nothing
    }
  }

  /** A create published before this delete and not yet begun: the delete must wait for it. */
  const isComing = async (sequence: number, id: string): Promise<boolean> =>
    (await bus.pendingCommands(subjects.create, sequence)).some(asksFor(id))

  const isHere = ({ saga, container }: ContainerLog): boolean =>
    saga !== undefined && container !== undefined && !isGone(saga)

  /** Nothing is there: because this very command has cancelled it, because it is still to come, or at all. */
  const settleAbsent = async (
    { sequence, id, commandId }: { sequence: number; id: string; commandId: string },
    { cancelledBy, container, content }: ContainerLog,
  ): Promise<boolean> => {
    if (cancelledBy === commandId) {
      const data = { id, name: container?.name, cancelled: true }
      return runs.outcome(id, 'container.deleted', commandId, data, content.sequence)
    }
    if (await isComing(sequence, id)) return false
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

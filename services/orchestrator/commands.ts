import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { type Bus, type Command, parseJson } from '../../shared/bus.ts'
import { ContainerCreate, ContainerDelete } from '../../shared/contracts/container-create.ts'
import { ContainerSpec } from '../../shared/contracts/container-spec.ts'
import { ContainerId } from '../../shared/contracts/identity.ts'
import { Failure } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { subjects } from '../../shared/subjects.ts'
import { parseInput } from '../../shared/wire.ts'
import { type ContainerLog, containerJournal, readContainer } from './container-log.ts'
import { containerSpec } from './container-spec.ts'
import { createContainer, createLabContainer, sagas } from './create-container.ts'
import { idOfCommand } from './command-id.ts'
import type { Executor } from './saga/perform.ts'
import { systemClock } from './saga/perform.ts'
import { Lost, type Run, createRun } from './saga/run.ts'
import type { SagaState } from './saga/state.ts'

export interface CommandParts {
  bus: Bus
  executor: Executor
  log: Log
  /** The node a container without a placement goes to. */
  node: string
  ackWaitMs: number
  signal: AbortSignal
  /** The id of the container with this name, if the projection knows one. */
  idOfName: (name: string) => string | undefined
}

const definitionOf = (saga: string, version: number) => {
  const definition = sagas.find((candidate) => candidate.name === saga && candidate.version === version)
  if (!definition)
    throw new Failure('unsupported', `saga ${saga} version ${version} is not known to this orchestrator`)
  return definition
}

/** At rest with nothing of the container left: the id may be used again. */
const isGone = (saga: SagaState | undefined): boolean =>
  saga === undefined ||
  (saga.phase === 'ended' && ['compensated', 'undone', 'aborted'].includes(saga.outcome ?? ''))

/** Carries out `container.create` and `container.delete`: each to exactly one outcome, whatever happens meanwhile. */
export const createCommands = ({ bus, executor, log, node, ackWaitMs, signal, idOfName }: CommandParts) => {
  const runs = new Map<string, Run>()

  const outcome = (id: string, type: string, commandId: string, data: Record<string, unknown>) =>
    bus.publishEvent({ kind: 'container', id, type, messageId: `${commandId}:outcome`, commandId, data })

  /** A log that cannot be read parks its container as stuck; anything else was never begun. */
  const reject = (id: string, commandId: string, { code, message, details }: Failure) => {
    const { transcript: _, ...rest } = details
    const type = 'sequence' in details ? 'container.stuck' : 'container.rejected'
    return outcome(id, type, commandId, { id, code, reason: message, ...rest })
  }

  const openRun = (
    id: string,
    commandId: string | undefined,
    { content, saga }: ContainerLog,
    fresh = saga,
  ) => {
    const definition = definitionOf(fresh?.saga ?? '', fresh?.version ?? 0)
    const journal = containerJournal({ bus, id, commandId, content, log, signal })
    return createRun({ definition, journal, executor, clock: systemClock, owner: randomUUID() }, content)
  }

  const drive = async (id: string, run: Run): Promise<void> => {
    runs.set(id, run)
    const stop = () => run.stop()
    signal.addEventListener('abort', stop, { once: true })
    try {
      await run.toRest()
    } finally {
      signal.removeEventListener('abort', stop)
      if (runs.get(id) === run) runs.delete(id)
    }
  }

  const begin = async (spec: ContainerSpec, commandId: string, known: ContainerLog): Promise<boolean> => {
    const owner = idOfName(spec.name)
    if (owner !== undefined && owner !== spec.id) {
      throw new Failure('conflict', `the name "${spec.name}" is in use by container ${owner}`, {
        details: { container: owner },
      })
    }
    const { name: saga, version } = spec.networkMode === 'lab' ? createLabContainer : createContainer
    const run = openRun(spec.id, commandId, known, { saga, version } as SagaState)
    if (!(await run.start(spec))) return false
    await drive(spec.id, run)
    return true
  }

  /** A second create for a container that is there: the same one is the answer, another is a conflict. */
  const repeat = async (
    spec: ContainerSpec,
    commandId: string,
    { container }: ContainerLog,
  ): Promise<boolean> => {
    if (!container) throw new Error(`container ${spec.id} has a saga but no state`)
    if (
      !isDeepStrictEqual(ContainerSpec.parse(JSON.parse(JSON.stringify(spec))), {
        ...container.spec,
        node: spec.node,
      })
    ) {
      throw new Failure('conflict', `container ${spec.id} exists with another specification`, {
        details: { container: spec.id },
      })
    }
    if (container.status === 'creating' || container.status === 'deleting') return false
    const { id, name, image, status, pid, startedAt, address } = container
    const type =
      status === 'stuck' ? 'container.stuck' : spec.start ? 'container.running' : 'container.created'
    await outcome(id, type, commandId, {
      id,
      name,
      node: container.node,
      image,
      status,
      pid,
      startedAt,
      address,
      existing: true,
    })
    return true
  }

  /** One look at the log and one act on it; false when the log has changed or someone else must finish first. */
  const tryCreate = async (spec: ContainerSpec, commandId: string): Promise<boolean> => {
    const known = await readContainer(bus, spec.id)
    if (known.answered.has(commandId)) return true
    if (isGone(known.saga)) return begin(spec, commandId, known)
    if (known.startedBy !== commandId || known.saga?.phase === 'ended') return repeat(spec, commandId, known)
    const run = openRun(spec.id, commandId, known)
    if (!(await run.resume())) return false
    await drive(spec.id, run)
    return true
  }

  const create = async (_: Command, body: unknown, id: string, commandId: string): Promise<boolean> => {
    const message = parseInput(ContainerCreate, body)
    return tryCreate(containerSpec(message, { id, node: message.placement?.node ?? node }), commandId)
  }

  /** Creates published before this delete and not yet begun: the delete must wait for them. */
  const isComing = async (command: Command, id: string): Promise<boolean> => {
    const before = await bus.pendingCommands(subjects.create, command.sequence)
    return before.some((body) => {
      const message = ContainerCreate.safeParse(parseJson(body))
      return message.success && message.data.id === id
    })
  }

  const remove = async (command: Command, body: unknown, id: string, commandId: string): Promise<boolean> => {
    const { force } = parseInput(ContainerDelete, body)
    const known = await readContainer(bus, id)
    const { saga, container } = known
    if (known.answered.has(commandId)) return true
    if (saga === undefined || container === undefined || isGone(saga)) {
      if (await isComing(command, id)) return false
      throw new Failure('not_found', `no container ${id}`)
    }
    if (!force && container.status === 'running') {
      throw new Failure('conflict', `container ${id} is running: stop it first, or delete it with force`)
    }
    const run = openRun(id, commandId, known)
    if (saga.phase === 'forward') {
      await run.cancel('deleted while it was created')
      await runs.get(id)?.refresh()
      return false
    }
    if (saga.phase === 'backward' && known.unwoundBy !== commandId) return false
    const taken = saga.phase === 'backward' ? await run.resume() : await run.unwind('deleted')
    if (!taken) return false
    await drive(id, run)
    return true
  }

  const handlers: Record<
    string,
    (command: Command, body: unknown, id: string, commandId: string) => Promise<boolean>
  > = {
    [subjects.create]: create,
    [subjects.delete]: remove,
  }

  const inHand = new Map<string, Command>()

  /** Handles one delivery; the command stays unacknowledged, kept alive, until it has its outcome. */
  const handle = async (delivery: Command): Promise<void> => {
    const commandId = delivery.messageId ?? `COMMANDS:${delivery.sequence}`
    const again = inHand.has(commandId)
    inHand.set(commandId, delivery)
    if (again) return
    const current = () => inHand.get(commandId) ?? delivery
    const alive = setInterval(() => current().working(), ackWaitMs / 3)
    let id = idOfCommand(delivery)
    try {
      const body = parseJson(delivery.body)
      const given =
        typeof body === 'object' && body !== null ? (body as { id?: unknown; name?: unknown }) : {}
      if (ContainerId.safeParse(given.id).success) id = String(given.id)
      else if (delivery.subject === subjects.delete && typeof given.name === 'string')
        id = idOfName(given.name) ?? id
      const act = handlers[delivery.subject]
      if (!act) throw new Error(`no handler for ${delivery.subject}`)
      const ended = await act(delivery, body, id, commandId)
      if (ended) await current().done()
      else current().release(100)
    } catch (error) {
      await settle(error, id, commandId, current())
    } finally {
      clearInterval(alive)
      inHand.delete(commandId)
    }
  }

  const settle = async (error: unknown, id: string, commandId: string, command: Command): Promise<void> => {
    if (error instanceof Lost || signal.aborted) return command.release(signal.aborted ? 0 : 1000)
    if (!(error instanceof Failure)) throw error
    if (error.retryable) {
      log.warn({ container: id, reason: error.message }, 'command put back')
      return command.release(1000)
    }
    log.info({ container: id, code: error.code, reason: error.message }, 'command rejected')
    await reject(id, commandId, error)
    command.reject(error.code)
  }

  return {
    handle,
    /** Tells the run of a container that someone else has written to its journal. */
    refresh: (id: string) => runs.get(id)?.refresh(),
    /** Resolves when no command is in hand. */
    idle: () => inHand.size === 0,
  }
}

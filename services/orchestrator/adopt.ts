import { randomUUID } from 'node:crypto'
import type { Bus } from '../../shared/bus.ts'
import { ContainerSpec } from '../../shared/contracts/container-spec.ts'
import type { Transition } from '../../shared/contracts/journal.ts'
import * as host from '../../shared/contracts/operations.ts'
import { labNetwork } from '../../shared/contracts/steps.ts'
import { Failure } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { containerJournal } from './container-journal.ts'
import { readContainer } from './container-log.ts'
import { isGone } from './container-runs.ts'
import { publishExit } from './life.ts'
import type { Reach } from './reach.ts'
import { definitionOf, redoSteps } from './restore.ts'
import type { Executor } from './saga/perform.ts'

interface AdoptParts {
  bus: Bus
  executor: Executor
  reach: Reach
  log: Log
  signal: AbortSignal
}

type Init = host.ProcessState

/** Its name, or its id when someone else has taken the name since. */
const leaseName = async (executor: Executor, spec: ContainerSpec, fence: number): Promise<ContainerSpec> => {
  const named = definitionOf(spec).steps.filter(({ contract }) => contract.name === 'name')
  try {
    await redoSteps({ executor, spec, fence }, named)
    return spec
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'conflict') throw error
    const renamed = { ...spec, name: spec.id }
    await redoSteps({ executor, spec: renamed, fence }, named)
    return renamed
  }
}

/**
 * What each step answers: its resource's owner finds it there and says so again, the same as at first. Init
 * is never asked for again, only looked at: it was made by whatever the lost log said.
 */
const outputsOf = async (redo: { executor: Executor; spec: ContainerSpec; fence: number }, init: Init) => {
  const { steps } = definitionOf(redo.spec)
  const lives = init.status !== 'stopped'
  const known = { pid: init.pid, startedAt: init.startedAt }
  // The lab's veth went with the process that it was moved into.
  const kept = steps.filter(
    ({ contract: { name, service } }) => service !== 'namespace' && (lives || name !== labNetwork.name),
  )
  const outputs = await redoSteps({ ...redo, known }, kept)
  return Object.fromEntries(
    steps.map(({ contract: { name } }) => [name, outputs[name] ?? (name === labNetwork.name ? {} : known)]),
  )
}

/**
 * Takes a container into the log that the log does not know, from what its own host says of it; answers
 * false when the host does not know enough. Compare-and-set: of two orchestrators one does it. Throws `Failure`.
 */
export const adopt = async (
  { bus, executor, reach, log, signal }: AdoptParts,
  id: string,
  node: string,
): Promise<boolean> => {
  const { origin, state } = await reach.ask(node, host.processOrigin, { id })
  const parsed = ContainerSpec.safeParse(origin)
  if (!parsed.success || parsed.data.id !== id || state.status === 'absent') return false
  const { content, saga: before } = await readContainer(bus, id)
  if (!isGone(before)) return false
  const spec = await leaseName(
    executor,
    { ...parsed.data, node, start: state.status !== 'created' },
    content.sequence,
  )
  const outputs = await outputsOf({ executor, spec, fence: content.sequence }, state)
  const { name: saga, version } = definitionOf(spec)
  const transitions = Object.entries(outputs).map(([step, output]): Transition => ({
    step,
    status: 'done',
    output,
  }))
  const journal = containerJournal({ bus, id, commandId: undefined, content, log, signal })
  const owner = randomUUID()
  const n = (before?.n ?? 0) + 1
  const deadline = new Date().toISOString()
  const sequence = await journal.append(
    { kind: 'started', n, owner, saga, version, input: spec, deadline, transitions },
    { expectedSequence: content.sequence, messageId: `${n}:${owner}:adopted` },
  )
  await journal.append(
    { kind: 'ended', n: n + 1, owner, outcome: 'completed', transitions: [] },
    { expectedSequence: sequence, messageId: `${n + 1}:${owner}:adopted` },
  )
  if (state.status === 'stopped') await publishExit(bus, id, state)
  if (state.status === 'paused') {
    const messageId = `${id}:container.paused:${owner}`
    await bus.publishEvent({ kind: 'container', id, type: 'container.paused', messageId, data: {} })
  }
  return true
}

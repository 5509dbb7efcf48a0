import { isDeepStrictEqual } from 'node:util'
import type { Bus } from '../../shared/bus.ts'
import { ContainerCreate } from '../../shared/contracts/container-create.ts'
import { ContainerSpec } from '../../shared/contracts/container-spec.ts'
import type { Config } from '../../shared/config.ts'
import { Failure } from '../../shared/failure.ts'
import { requireNoHostRoot } from '../../shared/host-root.ts'
import type { Log } from '../../shared/log.ts'
import { parseInput } from '../../shared/wire.ts'
import { bounded } from './checkpoint.ts'
import { type ContainerLog, foldContainer, readContainer } from './container-log.ts'
import { type Act, type ContainerRuns, deciding, isGone } from './container-runs.ts'
import { containerSpec } from './container-spec.ts'
import { createContainer, createLabContainer } from './create-container.ts'

interface CreateParts {
  bus: Bus
  log: Log
  runs: ContainerRuns
  /** The node that a container without a placement goes to. */
  node: string
  /** The id of the container with this name, if the projection knows one. */
  idOfName: (name: string) => string | undefined
  config: Pick<Config, 'allowPrivileged' | 'faultInjection'>
}

const sameSpec = (wanted: ContainerSpec, existing: ContainerSpec): boolean =>
  isDeepStrictEqual(ContainerSpec.parse(JSON.parse(JSON.stringify(wanted))), {
    ...existing,
    node: wanted.node,
  })

const nothing = foldContainer([])

const mostGiven = 1000

/** Carries out `container.create`: to exactly one outcome, by whichever orchestrator it is delivered to. */
export const createCommand = ({ bus, log, runs, node, idOfName, config }: CreateParts): Act => {
  /** Who was given a name here, which the list shows a moment later. */
  const given = new Map<string, string>()

  const give = (name: string, id: string): void => {
    given.delete(name)
    given.set(name, id)
    const oldest = given.size > mostGiven ? given.keys().next().value : undefined
    if (oldest !== undefined) given.delete(oldest)
  }

  /** The projection may be behind: only a holder that its own log shows alive is in the way. */
  const requireFreeName = async ({ id, name }: ContainerSpec): Promise<void> => {
    const holder = given.get(name) ?? idOfName(name)
    if (holder === undefined || holder === id || isGone((await readContainer(bus, holder)).saga)) return
    throw new Failure('conflict', `the name "${name}" is in use by container ${holder}`, {
      details: { container: holder },
    })
  }

  const begin = async (spec: ContainerSpec, commandId: string, known: ContainerLog): Promise<boolean> => {
    await requireFreeName(spec)
    const { name: saga, version } = spec.networkMode === 'lab' ? createLabContainer : createContainer
    const run = runs.open(spec.id, commandId, known, { saga, version })
    if (!(await run.start(spec))) return false
    give(spec.name, spec.id)
    await runs.drive(spec.id, run)
    return true
  }

  /** A second create for a container that is there: the same one is the answer, another is a conflict. */
  const repeat = async (
    spec: ContainerSpec,
    commandId: string,
    { container, content }: ContainerLog,
  ): Promise<boolean> => {
    if (!container) throw new Error(`container ${spec.id} has a saga but no state`)
    if (!sameSpec(spec, container.spec)) {
      const details = { container: spec.id }
      throw new Failure('conflict', `container ${spec.id} exists with another specification`, { details })
    }
    if (container.status === 'creating' || container.status === 'deleting') return false
    const { id, name, node: host, image, status, pid, startedAt, address } = container
    const type =
      status === 'stuck' ? 'container.stuck' : spec.start ? 'container.running' : 'container.created'
    const data = { id, name, node: host, image, status, pid, startedAt, address, existing: true }
    return runs.outcome(id, type, commandId, data, content.sequence)
  }

  return async ({ deliveries }, body, id, commandId) => {
    const message = parseInput(ContainerCreate, body)
    // Numbers that are right by themselves may come to one that is none: it must not get into the log.
    const spec = parseInput(
      ContainerSpec,
      containerSpec(message, { id, node: message.placement?.node ?? node }),
    )
    requireNoHostRoot(
      { ...spec, ...spec.process },
      { ownIds: spec.usernsMode === 'auto', allowed: config.allowPrivileged },
    )
    if (spec.inject.length > 0 && !config.faultInjection) {
      throw new Failure(
        'not_permitted',
        'trace.inject: fault injection is off here; DOLLY_FAULT_INJECTION=on turns it on',
      )
    }
    // Most ids are new: the append that begins the saga finds out as well as a look at the log does.
    if (deliveries === 1 && (await deciding(nothing, () => begin(spec, commandId, nothing)))) return true
    const known = await readContainer(bus, id)
    await bounded({ bus, log }, id, known)
    if (known.answered.has(commandId)) return true
    if (isGone(known.saga)) return deciding(known, () => begin(spec, commandId, known))
    if (known.startedBy !== commandId || known.saga?.phase === 'ended')
      return deciding(known, () => repeat(spec, commandId, known))
    const run = runs.open(id, commandId, known)
    if (!(await run.resume())) return false
    await runs.drive(id, run)
    return true
  }
}

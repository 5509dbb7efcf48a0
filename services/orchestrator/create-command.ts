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
import { createFreeNames } from './free-names.ts'
import type { Placement } from './placement/placement.ts'
import { type Request, requestOf } from './placement/request.ts'
import type { Settlement } from './placement/settlement.ts'

interface CreateParts {
  bus: Bus
  log: Log
  runs: ContainerRuns
  placement: Placement
  settlement: Settlement
  /** The id of the container with this name, if the projection knows one. */
  idOfName: (name: string) => string | undefined
  config: Pick<Config, 'allowPrivileged' | 'countLimits' | 'faultInjection'>
}

const sameSpec = (wanted: ContainerSpec, existing: ContainerSpec): boolean =>
  isDeepStrictEqual(ContainerSpec.parse(JSON.parse(JSON.stringify(wanted))), {
    ...existing,
    node: wanted.node,
  })

const nothing = foldContainer([])

/** Begins containers that are not there, where the placement says. */
const createLauncher = ({ bus, runs, placement, settlement, idOfName }: CreateParts) => {
  const names = createFreeNames(bus, idOfName)

  const begin = async (spec: ContainerSpec, commandId: string, known: ContainerLog): Promise<boolean> => {
    const { id } = spec
    let came: 'living' | 'gone' | 'unknown' = 'gone'
    try {
      await names.require(spec)
      const { name: saga, version } = spec.networkMode === 'lab' ? createLabContainer : createContainer
      const run = runs.open(id, commandId, known, { saga, version })
      if (settlement.isStale(id)) return false
      came = 'unknown'
      if (!(await run.start(spec))) {
        came = 'gone'
        return false
      }
      names.give(spec.name, id)
      await runs.drive(id, run)
      came = run.state && isGone(run.state) ? 'gone' : 'living'
      return true
    } finally {
      placement.end(id, came)
    }
  }

  /** Begins the container as soon as it has a place; answers undefined when the log is to be looked at first. */
  return async (
    spec: ContainerSpec,
    request: Request,
    commandId: string,
    known: ContainerLog,
    { patient }: { patient: boolean },
  ): Promise<boolean | undefined> => {
    if (patient) await names.require(spec)
    const place = await placement.place(request, { patient })
    if (place === 'look') return undefined
    return begin({ ...spec, node: place.node }, commandId, known)
  }
}

/** Messages of a launch hold the specification twice, with what images say beside it; the bus takes 1 MiB. */
const maxSpecBytes = 384 * 1024

const limitSize = (spec: ContainerSpec): void => {
  const bytes = Buffer.byteLength(JSON.stringify(spec))
  if (bytes <= maxSpecBytes) return
  const reason = `the container's specification has ${bytes} bytes as JSON: at most ${maxSpecBytes} are taken`
  throw new Failure('limit_refused', reason, { details: { bytes, limit: maxSpecBytes } })
}

const permit = (spec: ContainerSpec, config: CreateParts['config']): void => {
  requireNoHostRoot(
    { ...spec, ...spec.process },
    { ownIds: spec.usernsMode === 'auto', allowed: config.allowPrivileged },
  )
  if (spec.inject.length === 0 || config.faultInjection) return
  throw new Failure(
    'not_permitted',
    'trace.inject: fault injection is off here; DOLLY_FAULT_INJECTION=on turns it on',
  )
}

/** Carries out `container.create`: to exactly one outcome, by whichever orchestrator it is delivered to. */
export const createCommand = (parts: CreateParts): Act => {
  const { bus, log, runs, placement, config } = parts
  const launch = createLauncher(parts)

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

  return async ({ deliveries, sequence }, body, id, commandId) => {
    const message = parseInput(ContainerCreate, body)
    const { countLimits } = config
    // Numbers that are right by themselves may come to one that is none: it must not get into the log.
    const spec = parseInput(
      ContainerSpec,
      containerSpec(message, { id, node: message.placement?.node ?? '', countLimits }),
    )
    limitSize(spec)
    permit(spec, config)
    const { image, reservation = { cpus: 0, memory: 0 } } = spec
    const request = requestOf(message, { id, image, reservation }, sequence)
    // Most ids are new: the append that begins the saga finds out as well as a look at the log does.
    if (deliveries === 1) {
      const begun = await deciding(nothing, () =>
        launch(spec, request, commandId, nothing, { patient: false }),
      )
      if (begun) return true
    }
    for (;;) {
      const known = await readContainer(bus, id)
      await bounded({ bus, log }, id, known)
      if (known.answered.has(commandId)) return true
      if (isGone(known.saga)) {
        if (known.saga) placement.gone(id)
        const begun = await deciding(known, () => launch(spec, request, commandId, known, { patient: true }))
        if (begun !== undefined) return begun
        continue
      }
      if (known.startedBy !== commandId || known.saga?.phase === 'ended')
        return deciding(known, () => repeat(spec, commandId, known))
      const run = runs.open(id, commandId, known)
      if (!(await run.resume())) return false
      await runs.drive(id, run)
      return true
    }
  }
}

import { z } from 'zod'
import { Checkpoint, ContainerLife, checkpointType } from '../../shared/contracts/checkpoint.ts'
import type { Container, ContainerStatus } from '../../shared/contracts/container.ts'
import { ContainerSpec } from '../../shared/contracts/container-spec.ts'
import type { StoredEvent } from '../../shared/contracts/event.ts'
import { Failure } from '../../shared/failure.ts'
import type { SagaState } from './saga/state.ts'

/** A log that cannot be read as it should be, and where. */
export const unreadable = (sequence: number, reason: string): Failure =>
  new Failure('invalid_message', `sequence ${sequence}: ${reason}`, { details: { sequence } })

const settled: Partial<Record<NonNullable<SagaState['outcome']>, ContainerStatus>> = {
  compensated: 'failed',
  undone: 'deleted',
  stuck: 'stuck',
  aborted: 'failed',
}

const statusOf = (saga: SagaState): ContainerStatus => {
  if (saga.phase !== 'ended') return saga.rested ? 'deleting' : 'creating'
  return settled[saga.outcome ?? 'stuck'] ?? 'created'
}

const Lifecycle = z.object({
  pid: z.number().optional(),
  startedAt: z.string().optional(),
  exitCode: z.number().optional(),
  oomKilled: z.boolean().optional(),
  finishedAt: z.string().optional(),
  /** Started by the restart policy. */
  restart: z.boolean().optional(),
})

/** The container's own events, after its saga has completed: what each makes of the status. */
const lifecycle: Record<string, ContainerStatus> = {
  'container.started': 'running',
  'container.exited': 'stopped',
  'container.paused': 'paused',
  'container.unpaused': 'running',
}

const initOf = (saga: SagaState) => {
  const output = Object.values(saga.steps).findLast((step) => step.output && 'pid' in step.output)?.output
  return {
    pid: output?.['pid'] as number | undefined,
    startedAt: output?.['startedAt'] as string | undefined,
  }
}

/** A process that ran this long has not failed at once: its restarts are counted anew. */
const steadyMs = 10_000

/** Goes on from where a checkpoint says that the container's life stood. */
const takeUp = (container: Container, data: unknown, exited: Set<string>): void => {
  const { life } = Checkpoint.parse(data)
  if (!life) return
  for (const key of ContainerLife.omit({ exited: true }).keyof().exclude(['status']).options)
    delete container[key]
  const { exited: ended, ...rest } = life
  Object.assign(container, rest)
  for (const process of ended) exited.add(process)
}

/** Takes one event of the container's own life into account. */
const live = (container: Container, { event, sequence }: StoredEvent, exited: Set<string>): void => {
  const { type = '', data } = event ?? {}
  if (type === checkpointType) return takeUp(container, data, exited)
  if (type === 'container.stopping') container.stoppedByUser = true
  const status = lifecycle[type]
  if (!status) return
  const said = Lifecycle.safeParse(data)
  if (!said.success) throw unreadable(sequence, `no ${type}: ${said.error.issues[0]?.message}`)
  const { pid, startedAt, restart, ...rest } = said.data
  if (type === 'container.exited') {
    // Told again after a power loss, which took the status: what was known of it stands.
    if (exited.has(`${pid}:${startedAt}`)) return
    // Init ended before anyone asked for its command: no policy may be the first to run it.
    if (container.status === 'created') container.stoppedByUser = true
    exited.add(`${pid}:${startedAt}`)
    if (startedAt && rest.finishedAt && Date.parse(rest.finishedAt) - Date.parse(startedAt) > steadyMs)
      container.restarts = 0
  }
  if (type === 'container.started') container.restarts = restart ? (container.restarts ?? 0) + 1 : 0
  // A process may end before its start is on the log.
  if (type === 'container.started' && exited.has(`${pid}:${startedAt}`)) return
  container.status = status
  Object.assign(container, rest)
  if (status === 'stopped') delete container.pid
  if (type !== 'container.started') return
  Object.assign(container, { pid, startedAt })
  for (const key of ['exitCode', 'oomKilled', 'finishedAt', 'stoppedByUser'] as const) delete container[key]
}

/** The container that a saga, and the events since it began, have made. Throws `Failure` (`invalid_message`). */
export const describeContainer = (
  saga: SagaState,
  events: readonly StoredEvent[],
  createdAt: string,
): Container => {
  const parsed = ContainerSpec.safeParse(saga.input)
  if (!parsed.success)
    throw unreadable(events[0]?.sequence ?? 0, `no container of saga ${saga.saga} version ${saga.version}`)
  const spec = parsed.data
  const address = Object.values(saga.steps).find((step) => step.output?.['address'])?.output?.['address'] as
    | string
    | undefined
  const container: Container = {
    id: spec.id,
    name: spec.name,
    node: spec.node,
    image: spec.image,
    status: statusOf(saga),
    createdAt,
    ...(address ? { address } : {}),
    spec,
    steps: saga.steps,
    sequence: events.at(-1)?.sequence ?? 0,
  }
  if (saga.cause) container.error = saga.cause
  if (saga.outcome === 'stuck' || saga.outcome === 'aborted') {
    container.leaked = Object.entries(saga.steps)
      .filter(([, { status }]) => !['idle', 'undone', 'skipped'].includes(status))
      .map(([step, { error }]) => ({ step, reason: error?.reason ?? 'what needs it is not undone' }))
  }
  if (saga.phase !== 'ended' || saga.outcome !== 'completed') return container
  Object.assign(container, initOf(saga))
  container.status = spec.start ? 'running' : 'created'
  const exited = new Set<string>()
  for (const event of events) live(container, event, exited)
  return container
}

import type { Bus } from '../../shared/bus.ts'
import type { Container } from '../../shared/contracts/container.ts'
import * as host from '../../shared/contracts/operations.ts'
import { readContainer } from './container-log.ts'
import type { Projection } from './projection.ts'
import type { Reach } from './reach.ts'

/** The status of a process whose end nobody saw. */
const unknownStatus = 255

/** The exit that a host knows of and the log does not; the same message id as the host's own report of it. */
export const publishExit = async (
  bus: Bus,
  id: string,
  { pid, startedAt, exitCode, oomKilled = false, finishedAt, lost }: Omit<host.ProcessState, 'status'>,
): Promise<void> => {
  const unseen = lost || exitCode === undefined
  await bus.publishEvent({
    kind: 'container',
    id,
    type: 'container.exited',
    messageId: `${id}:exited:${pid}:${startedAt}`,
    data: {
      exitCode: exitCode ?? unknownStatus,
      oomKilled,
      pid,
      startedAt,
      finishedAt: finishedAt ?? new Date().toISOString(),
      ...(unseen ? { lost: true } : {}),
    },
  })
}

interface LifeParts {
  bus: Bus
  projection: Projection
  reach: Reach
  node: string
}

const runs = (status: string): boolean => status === 'running' || status === 'paused'

/** Whether the log says of this container what its host says. */
const agrees = (container: Container, supervised: ReadonlySet<string>): boolean =>
  runs(container.status) === supervised.has(container.id)

const settle = async ({ bus, reach, node }: LifeParts, id: string): Promise<void> => {
  // The log first: what is absent then is the run that it names, or one before, not the next that is being made.
  const { container } = await readContainer(bus, id)
  if (!container) return
  const state = await reach.ask(node, host.processState, { id })
  const { pid, startedAt } = state
  if (container.status === 'stopped' && runs(state.status)) {
    const messageId = `${id}:container.started:${pid}:${startedAt}`
    const data = { pid, startedAt }
    await bus.publishEvent({ kind: 'container', id, type: 'container.started', messageId, data })
  }
  if (!runs(container.status)) return
  if (state.status === 'absent')
    await publishExit(bus, id, { pid: container.pid, startedAt: container.startedAt })
  // Without an exit code its host is still finding out.
  if (state.status === 'stopped' && state.exitCode !== undefined) await publishExit(bus, id, state)
}

/**
 * Writes down the ends and the starts that the log does not know: of a container whose bundle was lost, of
 * one whose start was never told because whoever started it died. A monitor lives as long as its container,
 * so that only where the log and the monitors differ a host is asked.
 */
export const settleLives = async (parts: LifeParts, objects: readonly host.Leak[]): Promise<void> => {
  const supervised = new Set(
    objects.flatMap(({ kind, container }) => (kind === 'monitor' && container !== null ? container : [])),
  )
  const doubtful = parts.projection
    .list()
    .filter(({ node, status }) => node === parts.node && (runs(status) || status === 'stopped'))
    .filter((container) => !agrees(container, supervised))
  for (const { id } of doubtful) await settle(parts, id)
}

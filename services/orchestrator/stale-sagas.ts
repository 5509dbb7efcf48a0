import type { Bus } from '../../shared/bus.ts'
import { Failure } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { readContainer } from './container-log.ts'
import type { ContainerRuns } from './container-runs.ts'
import type { NodeNews } from './node-news.ts'
import type { Projection } from './projection.ts'
import type { settling } from './settling.ts'

interface StaleSagasParts extends Pick<NodeNews, 'tellOnce'> {
  bus: Bus
  projection: Projection
  runs: ContainerRuns
  log: Log
  /** How old the last record of a saga must be until nobody can be driving it any more. */
  staleMs: number
  attempt: ReturnType<typeof settling>
}

/** Sagas taken over at once after an orchestrator died with its commands. */
const mostTakeovers = 32

const finish = async ({ bus, runs, log, staleMs, tellOnce }: StaleSagasParts, id: string): Promise<void> => {
  const known = await readContainer(bus, id)
  const { saga, answered, unwoundBy, startedBy, changedAt } = known
  if (saga === undefined || saga.phase === 'ended' || Date.now() - changedAt < staleMs) return
  try {
    const owed = [unwoundBy, startedBy].find((command) => command && !answered.has(command))
    const run = runs.open(id, owed, known)
    log.warn({ container: id, phase: saga.phase }, 'taking over a saga that nobody drives')
    if (await run.resume()) await runs.drive(id, run)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    await tellOnce('saga.refused', id, { container: id, code: error.code, reason: error.message })
  }
}

/** Ends sagas whose command has gone, or whose orchestrator died after it, on any node: nobody else would. */
export const finishStale = async (parts: StaleSagasParts): Promise<void> => {
  const { projection, runs, attempt } = parts
  const restless = projection
    .list()
    .filter(({ id, status }) => (status === 'creating' || status === 'deleting') && !runs.has(id))
  await Promise.all(restless.slice(0, mostTakeovers).map(({ id }) => attempt(() => finish(parts, id))))
}

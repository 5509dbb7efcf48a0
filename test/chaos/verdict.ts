import type { Bus } from '../../shared/bus.ts'
import type { Config } from '../../shared/config.ts'
import { type CloudEvent, outcomeTypes } from '../../shared/contracts/event.ts'
import { foldContainer } from '../../services/orchestrator/container-log.ts'
import { sleepers } from '../helpers/fault-commands.ts'
import { tracesBeside } from '../helpers/fault-traces.ts'
import type { LedgerOfUsers } from './users.ts'

/** What the log says of everything the users commanded. */
export interface LogVerdict {
  /** Accepted commands without an outcome. */
  missing: string[]
  /** Commands with more than one outcome. */
  duplicates: string[]
  takeovers: number
  compensations: number
  stuck: string[]
  /** Why creates failed, and how often. */
  reasons: Record<string, number>
  /** Ids of the containers that the log says are there. */
  living: string[]
}

const isOutcome = ({ type }: CloudEvent): boolean => (outcomeTypes as readonly string[]).includes(type)

/** Reads the log of every container that a user named, record by record. */
export const readVerdict = async (bus: Bus, ledger: LedgerOfUsers): Promise<LogVerdict> => {
  const commands = [...ledger.accepted, ...ledger.unacknowledged]
  const outcomes = new Map<string, number>()
  const verdict: LogVerdict = {
    missing: [],
    duplicates: [],
    takeovers: 0,
    compensations: 0,
    stuck: [],
    reasons: {},
    living: [],
  }
  for (const id of new Set(commands.map((command) => command.id))) {
    const stored = await bus.journal('container', id)
    for (const { event } of stored) {
      if (!event) throw new Error(`${id}: a record that is no event`)
      if (event.type === 'saga.resumed') verdict.takeovers++
      if (event.type === 'container.stuck') verdict.stuck.push(id)
      if (event.type === 'container.failed') {
        verdict.compensations++
        const why = `${event.data['step'] ?? ''} ${event.data['code'] ?? ''}`
        verdict.reasons[why] = (verdict.reasons[why] ?? 0) + 1
      }
      if (event.commandid && isOutcome(event))
        outcomes.set(event.commandid, (outcomes.get(event.commandid) ?? 0) + 1)
    }
    const { container } = foldContainer(stored)
    if (container && !['deleted', 'failed'].includes(container.status)) verdict.living.push(id)
  }
  verdict.missing = ledger.accepted
    .filter(({ commandId }) => !outcomes.has(commandId))
    .map(({ commandId }) => commandId)
  verdict.duplicates = [...outcomes].filter(([, count]) => count > 1).map(([commandId]) => commandId)
  return verdict
}

/** What the kernel has that the log does not explain, and the other way about. */
export const compareWithHost = (
  config: Config,
  { living }: LogVerdict,
  { seconds }: LedgerOfUsers,
): { unexplained: string[]; twice: string[]; absent: string[] } => {
  const running = sleepers()
  const counts = [...seconds].map(([id, time]) => ({ id, count: running.get(time)?.length ?? 0 }))
  return {
    unexplained: [
      ...tracesBeside(config, living),
      ...counts
        .filter(({ id, count }) => count > 0 && !living.includes(id))
        .map(({ id }) => `process of ${id}`),
    ],
    twice: counts.filter(({ count }) => count > 1).map(({ id }) => id),
    absent: counts.filter(({ id, count }) => count === 0 && living.includes(id)).map(({ id }) => id),
  }
}

import { setTimeout as delay } from 'node:timers/promises'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import type { Bus } from '../../shared/bus.ts'
import type { Config } from '../../shared/config.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { patienceMs } from '../../shared/patience.ts'
import { subjects } from '../../shared/subjects.ts'
import { moreOrchestrators } from '../helpers/fault-processes.ts'
import { type Stack, eventually, startStack } from '../helpers/stack.ts'
import { runKiller } from './killer.ts'
import { createRandom } from './random.ts'
import { type LedgerOfUsers, createLedgerOfUsers, publishing, runUser } from './users.ts'
import { type LogVerdict, compareWithHost, readVerdict } from './verdict.ts'

export interface ChaosOptions {
  durationMs: number
  seed: number
  users?: number
  /** Ends the storm early. */
  signal?: AbortSignal
}

/** The figures of a storm; everything from `missing` on must be nothing. */
export interface ChaosReport {
  seed: number
  commands: number
  execs: { done: number; refused: number }
  kills: Record<string, number>
  takeovers: number
  compensations: number
  reasons: Record<string, number>
  missing: string[]
  duplicates: string[]
  stuck: string[]
  leaks: string[]
  /** Containers that live although their delete was accepted and has had its outcome. */
  disobeyed: string[]
  /** Commands that the bus gave no receipt for in a minute: nobody was promised anything. */
  unacknowledged: number
  /** Containers of which the log says that they run, and the kernel that they do not. */
  absent: string[]
}

/** After the storm services start again, and what waits is redelivered and done. */
const calmWithinMs = 180_000

const settled = async (bus: Bus, ledger: LedgerOfUsers): Promise<LogVerdict> => {
  let verdict: LogVerdict | undefined
  await eventually(
    'every accepted command has an outcome',
    async () => {
      verdict = await readVerdict(bus, ledger)
      if (verdict.missing.length > 0) await delay(500)
      return verdict.missing.length === 0
    },
    calmWithinMs,
  ).catch((error: unknown) => {
    // Told as missing by the report, with everything else there is to tell.
    if (!verdict) throw error
  })
  if (!verdict) throw new Error('nothing was read of the log')
  return verdict
}

/** What the log says of a container, for whoever looks for the reason. */
const storyOf = async (bus: Bus, id: string): Promise<string> => {
  const events = await bus.journal('container', id)
  return [
    id,
    ...events.map(
      ({ sequence, event }) => `${sequence} ${event?.time} ${event?.type} ${event?.commandid ?? ''}`,
    ),
  ].join('\n      ')
}

const leaksOf = async (bus: Bus): Promise<string[]> =>
  (await ask(bus, verbs.leaks, {}, { timeoutMs: 60_000 })).leaks.map(({ kind, name }) => `${kind} ${name}`)

const storm = async (
  stack: Stack,
  ledger: LedgerOfUsers,
  { durationMs, seed, users = 4, signal }: ChaosOptions,
) => {
  const random = createRandom(seed)
  const ending = new AbortController()
  const end = () => ending.abort()
  const timer = setTimeout(end, durationMs)
  signal?.addEventListener('abort', end, { once: true })
  const over = ending.signal
  const { config } = stack
  const userRuns = Array.from({ length: users }, (_, index) => {
    const firstSeconds = 1_000_000 + (process.pid % 1000) * 1_000_000 + index * 100_000
    return runUser({ config, random: random.fork(), ledger, firstSeconds, signal: over })
  })
  const kills = runKiller({ config, random: random.fork(), signal: over })
  await Promise.all(userRuns)
  clearTimeout(timer)
  return kills
}

/** Between the word that starts a container's command and the command itself there is an exec, on a busy host. */
const execWithinMs = 5000

const compared = async (
  config: Config,
  verdict: LogVerdict,
  ledger: LedgerOfUsers,
): Promise<ReturnType<typeof compareWithHost>> => {
  const late = performance.now() + patienceMs(execWithinMs)
  for (;;) {
    const found = compareWithHost(config, verdict, ledger)
    if (found.absent.length === 0 || performance.now() > late) return found
    await delay(50)
  }
}

/**
 * A stack under a storm of users and kills, then calm; answers what came of it. What the log and the host
 * say is compared twice: as the storm left it, and after everything was deleted.
 */
export const runChaos = async (options: ChaosOptions): Promise<ChaosReport> => {
  await using stack = await startStack({ DOLLY_ACK_WAIT_MS: '2000' })
  await using _second = await moreOrchestrators(stack, 1)
  const { bus, config } = stack
  const ledger = createLedgerOfUsers()

  const kills = await storm(stack, ledger, options)
  const first = await settled(bus, ledger)
  const left = await compared(config, first, ledger)
  const publish = publishing(bus, ledger)
  for (const id of first.living) await publish(subjects.delete, { id, force: true })
  const verdict = await settled(bus, ledger)
  const after = compareWithHost(config, verdict, ledger)

  return {
    seed: options.seed,
    commands: ledger.accepted.length,
    execs: ledger.execs,
    kills,
    takeovers: verdict.takeovers,
    compensations: verdict.compensations,
    reasons: verdict.reasons,
    missing: verdict.missing,
    duplicates: [...verdict.duplicates, ...left.twice],
    stuck: verdict.stuck,
    leaks: [...left.unexplained, ...after.unexplained, ...verdict.living, ...(await leaksOf(bus))],
    disobeyed: await Promise.all(
      first.living.filter((id) => ledger.unwanted.has(id)).map((id) => storyOf(bus, id)),
    ),
    unacknowledged: ledger.unacknowledged.length,
    absent: left.absent,
  }
}

/** Whether nothing was lost, doubled or left behind. */
export const isClean = ({ missing, duplicates, stuck, leaks, disobeyed, absent }: ChaosReport): boolean =>
  [missing, duplicates, stuck, leaks, disobeyed, absent].every((found) => found.length === 0)

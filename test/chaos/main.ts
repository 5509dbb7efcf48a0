import { inspect } from 'node:util'
import { type ChaosReport, isClean, runChaos } from './run.ts'

const minutes = Number(process.env['MINUTES'] ?? 5)
const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort())

const counted = (values: Record<string, number>): string =>
  Object.entries(values)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ') || 'none'

const listed = (values: readonly string[]): string => [values.length, ...values.slice(0, 20)].join('\n    ')

const linesOf = (report: ChaosReport): string[] => [
  `seed           ${report.seed}`,
  `commands       ${report.commands}; ${report.unacknowledged} more without a receipt`,
  `execs          ${report.execs.done} done, ${report.execs.refused} refused`,
  `kills          ${Object.values(report.kills).reduce((sum, count) => sum + count, 0)}: ${counted(report.kills)}`,
  `takeovers      ${report.takeovers}`,
  `compensations  ${report.compensations}: ${counted(report.reasons)}`,
  `without outcome ${listed(report.missing)}`,
  `duplicates     ${listed(report.duplicates)}`,
  `stuck          ${listed(report.stuck)}`,
  `leaks          ${listed(report.leaks)}`,
  `not deleted    ${listed(report.disobeyed)}`,
  `lost           ${listed(report.absent)}`,
]

process.stderr.write(`chaos for ${minutes} minutes, seed ${seed} (MINUTES=… SEED=… choose others)\n`)
/** What failed and what the clean-up said besides: the one hides the other when it is thrown as it is. */
const reasonsOf = (error: unknown): unknown[] =>
  error instanceof SuppressedError ? [...reasonsOf(error.suppressed), ...reasonsOf(error.error)] : [error]

try {
  const report = await runChaos({ durationMs: minutes * 60_000, seed, signal: interrupted.signal })
  process.stdout.write(`${linesOf(report).join('\n')}\n`)
  if (!isClean(report)) process.exitCode = 1
} catch (error) {
  for (const reason of reasonsOf(error)) process.stderr.write(`${inspect(reason)}\n`)
  process.exitCode = 1
}

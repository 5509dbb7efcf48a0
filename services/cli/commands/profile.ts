import type { Command } from 'commander'
import { type PhaseProfile, type StepProfile, phasesOf } from '../output/launch-profile.ts'
import { printJson, printLine } from '../output/print.ts'
import { table } from '../output/table.ts'
import { shortMs } from '../output/time.ts'
import { journalOf } from './bus/journal.ts'
import { withSession } from './bus/session.ts'

interface ProfileFlags {
  all?: boolean
  json?: boolean
}

const barWidth = 32
const usualLines = 12
const widest = 96

/** When a step ran within its phase, drawn to scale. */
const bar = ({ startedMs = 0, durationMs }: StepProfile, wholeMs: number): string => {
  const column = (ms: number) => Math.min(barWidth, Math.round((ms / wholeMs) * barWidth))
  const [from, to] = [column(startedMs), column(startedMs + durationMs)]
  return ' '.repeat(Math.min(from, barWidth - 1)) + '█'.repeat(Math.max(1, to - from))
}

const stepTable = ({ steps }: PhaseProfile): string => {
  const wholeMs = Math.max(0.001, ...steps.map(({ startedMs = 0, durationMs }) => startedMs + durationMs))
  const rows = steps.map((step) => [
    step.step,
    step.status,
    step.startedMs === undefined ? '-' : shortMs(step.startedMs),
    shortMs(step.durationMs),
    bar(step, wholeMs),
  ])
  return table(['STEP', 'STATUS', 'STARTED', 'TOOK', 'WHEN'], rows)
}

const workTable = ({ steps }: PhaseProfile, all: boolean): string => {
  const work = steps
    .flatMap(({ step, work: entries }) => entries.map((entry) => ({ step, ...entry })))
    .toSorted((a, b) => b.durationMs - a.durationMs)
  const shorten = (text: string) => (all || text.length <= widest ? text : `${text.slice(0, widest - 1)}…`)
  const rows = (all ? work : work.slice(0, usualLines)).map(
    ({ step, kind, ahead, equivalent, durationMs }) => [
      `${durationMs.toFixed(2)} ms`,
      step,
      ahead ? `${kind}, ahead` : kind,
      shorten(equivalent),
    ],
  )
  return table(['TOOK', 'STEP', 'KIND', 'WHAT'], rows)
}

const profile = async (container: string, { all = false, json }: ProfileFlags): Promise<void> => {
  const phases = phasesOf(await withSession(({ bus }) => journalOf(bus, container)))
  if (json) return printJson(phases)
  for (const [number, phase] of phases.entries()) {
    if (number > 0) printLine('')
    printLine(`${phase.outcome} in ${phase.durationMs} ms, begun ${phase.startedAt}\n`)
    printLine(`${stepTable(phase)}\n`)
    printLine(workTable(phase, all))
  }
}

export const configure = (command: Command): void => {
  command
    .argument('<container>', 'id or name')
    .option('-a, --all', `show all commands and calls, whole, not the ${usualLines} that took longest`)
    .option('--json', 'print JSON')
    .action(profile)
}

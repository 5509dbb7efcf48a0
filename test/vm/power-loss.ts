import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../shared/recorder.ts'
import { runInGuest } from './guest-task.ts'
import type { startMachine } from './machine.ts'
import type { RootImage } from './root-image.ts'

/** What several losses of power did; everything from `lost` on must be nothing. */
export interface PowerLossReport {
  losses: number
  accepted: number
  /** Of these, how many had no outcome yet that anyone was told of when the power went. */
  interrupted: number
  outcomes: Record<string, number>
  /** Accepted commands without exactly one outcome. */
  lost: string[]
  leaks: string[]
}

const limitMs = 20 * 60_000
const copyMs = 10 * 60_000

interface Round {
  image: RootImage
  disk: string
  /** Shell lines with the guest's program. */
  command: string
  signal?: AbortSignal | undefined
  onLine?: (line: string, machine: ReturnType<typeof startMachine> | undefined) => void
}

const program = 'node test/vm/power-loss-guest.ts'

const runRound = async ({ image, disk, command, signal, onLine }: Round) => {
  const lines: string[] = []
  let [rest, machine] = ['', undefined as ReturnType<typeof startMachine> | undefined]
  const status = await runInGuest({
    image,
    disk,
    command,
    limitMs,
    ...(signal ? { signal } : {}),
    onStart: (started) => (machine = started),
    onOutput: (text) => {
      process.stderr.write(text)
      const whole = (rest + text).replaceAll('\r', '').split('\n')
      rest = whole.pop() ?? ''
      lines.push(...whole)
      for (const line of whole) onLine?.(line, machine)
    },
  })
  return { status, lines }
}

const wordsAfter = (lines: readonly string[], first: string): string[] =>
  lines.flatMap((line) => (line.startsWith(`${first} `) ? [line.slice(first.length + 1)] : []))

const take = (report: PowerLossReport, lines: readonly string[], ids: readonly string[]): void => {
  const told = new Map<string, string>()
  for (const words of wordsAfter(lines, 'outcome')) {
    const [id = '', type = ''] = words.split(' ')
    told.set(id, type)
  }
  for (const id of ids) {
    const outcome = told.get(id) ?? 'not judged'
    report.outcomes[outcome] = (report.outcomes[outcome] ?? 0) + 1
    if (!outcome.startsWith('container.')) report.lost.push(`${id}: ${outcome}`)
  }
  report.leaks.push(...wordsAfter(lines, 'leak'))
}

/**
 * Takes the power of a machine in the middle of launches, again and again, on one disk; each time it comes
 * back, every command whose acknowledgement got out must have come to exactly one end, and nothing may be left.
 */
export const losePower = async (
  image: RootImage,
  { losses, signal }: { losses: number; signal?: AbortSignal },
): Promise<PowerLossReport> => {
  const directory = await mkdtemp(join(tmpdir(), 'dolly-vm-disk-'))
  const disk = join(directory, 'root.img')
  const report: PowerLossReport = {
    losses: 0,
    accepted: 0,
    interrupted: 0,
    outcomes: {},
    lost: [],
    leaks: [],
  }
  const everything: string[] = []
  let last: string[] = []
  try {
    await run('cp', ['--sparse=always', image.disk, disk], { timeoutMs: copyMs })
    for (let round = 1; round <= losses; round++) {
      // Somewhere in the launches: the moment differs from run to run, and so does what it interrupts.
      const [enough, delayMs] = [1 + Math.floor(Math.random() * 6), Math.random() * 8000]
      const [accepted, ended]: [string[], string[]] = [[], []]
      const judge = last.length > 0 ? `${program} judge ${last.join(' ')} && ` : ''
      const { lines } = await runRound({
        image,
        disk,
        signal,
        command: `${judge}${program} storm loss-${round}`,
        onLine: (line, machine) => {
          ended.push(...wordsAfter([line], 'ended'))
          const [command] = wordsAfter([line], 'accepted')
          if (command === undefined) return
          accepted.push(command)
          if (accepted.length === enough) setTimeout(() => machine?.powerOff(), delayMs)
        },
      })
      if (accepted.length === 0) throw new Error(`cannot lose power in round ${round}: nothing was accepted`)
      take(report, lines, last)
      report.losses++
      report.accepted += accepted.length
      report.interrupted += accepted.length - ended.length
      everything.push(...accepted)
      last = accepted
    }
    const command = `${program} judge ${last.join(' ')} && ${program} clear ${everything.join(' ')} && services/cli/dolly doctor --leaks`
    const { status, lines } = await runRound({ image, disk, signal, command })
    take(report, lines, last)
    if (status !== 0) report.leaks.push(`the last boot ended with ${status}`)
    return report
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Whether nothing was lost or left behind. */
export const isWhole = ({ lost, leaks }: PowerLossReport): boolean => lost.length === 0 && leaks.length === 0

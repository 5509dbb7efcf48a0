import { readFileSync, readlinkSync, statSync } from 'node:fs'
import { Failure, errnoOf } from '../../shared/failure.ts'
import { readIfThere } from './bundle.ts'

/** A process for ever: pids are used again, a pid with its start time is not. */
export interface ProcessIdentity {
  pid: number
  /** Clock ticks after boot, as in `/proc/<pid>/stat`. */
  startTicks: string
  /** As in `/proc/sys/kernel/random/boot_id`; ticks and pids begin anew with each boot. */
  bootId?: string | undefined
}

export interface Init extends ProcessIdentity {
  startedAt: string
}

const thisBoot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

const gone = new Set(['ENOENT', 'ESRCH', 'EACCES'])

/** What a read of `/proc/<pid>` answers, or undefined when the process has gone. */
const whileAlive = <T>(read: () => T): T | undefined => {
  try {
    return read()
  } catch (error) {
    if (gone.has(errnoOf(error) ?? '')) return undefined
    throw error
  }
}

/** The init that the native program wrote down, alive or not. The file's time is when it was ready. */
export const readInit = (file: string): Init | undefined => {
  const [, pid, startTicks, bootId] =
    /^(\d+) (\d+)(?: ([0-9a-f-]{36}))?\n$/.exec(readIfThere(file) ?? '') ?? []
  if (!pid || !startTicks) return undefined
  return { pid: Number(pid), startTicks, bootId, startedAt: statSync(file).mtime.toISOString() }
}

/** Whether that very process runs; one that has ended and waits to be reaped does not. */
export const isAlive = ({ pid, startTicks, bootId = thisBoot }: ProcessIdentity): boolean => {
  if (bootId !== thisBoot) return false
  const stat = whileAlive(() => readFileSync(`/proc/${pid}/stat`, 'latin1'))
  if (stat === undefined) return false
  // The name may hold anything, so the fields are counted from its closing parenthesis.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[19] === startTicks && fields[0] !== 'Z' && fields[0] !== 'X'
}

/** Whether init still waits for its start: until `execve` it runs the native program's sealed copy. */
export const isWaiting = (init: ProcessIdentity): boolean =>
  isAlive(init) && whileAlive(() => readlinkSync(`/proc/${init.pid}/exe`)) === '/memfd:dolly-init (deleted)'

/** The arguments of a process, or undefined when there is none of that pid. */
export const commandLine = (pid: number): string[] | undefined => {
  const text = whileAlive(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
  return text ? text.split('\0').slice(0, -1) : undefined
}

/** Sends a signal to that very process; answers false when it has gone. */
export const signalProcess = (target: ProcessIdentity, signal: number | NodeJS.Signals): boolean => {
  if (!isAlive(target)) return false
  try {
    return process.kill(target.pid, signal)
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return false
    throw new Failure('system', `cannot signal process ${target.pid}: ${String(error)}`, { cause: error })
  }
}

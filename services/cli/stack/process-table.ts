import { readFile, readdir } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { errnoOf } from '../../../shared/failure.ts'
import { patienceMs } from '../../../shared/patience.ts'

/** A process and the moment it began (clock ticks since boot): a pid alone may have been given to another. */
export interface ProcessIdentity {
  pid: number
  startTicks: string
}

// A process may end between two looks at it, and the kernel shows some to nobody: neither is one of ours.
const unreadable = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM'])

const readIfAny = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (unreadable.has(errnoOf(error) ?? '')) return undefined
    throw error
  }
}

/** The process that has this pid now, or undefined when there is none or it is a zombie. */
export const identify = async (pid: number): Promise<ProcessIdentity | undefined> => {
  const stat = await readIfAny(`/proc/${pid}/stat`)
  // The command in parentheses may hold spaces and parentheses of its own; fields are counted from its end.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (!fields || fields[0] === 'Z' || fields[0] === 'X') return undefined
  return { pid, startTicks: fields[19] ?? '' }
}

export const isAlive = async ({ pid, startTicks }: ProcessIdentity): Promise<boolean> =>
  (await identify(pid))?.startTicks === startTicks

/** Sends a signal; a process that has gone is success. */
export const signalIfAlive = async (process_: ProcessIdentity, signal: NodeJS.Signals): Promise<void> => {
  if (!(await isAlive(process_))) return
  try {
    process.kill(process_.pid, signal)
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error
  }
}

/** Waits until the process has gone; answers whether it did in time. */
export const waitUntilGone = async (process_: ProcessIdentity, timeoutMs: number): Promise<boolean> => {
  const deadline = performance.now() + patienceMs(timeoutMs)
  while (await isAlive(process_)) {
    if (performance.now() > deadline) return false
    await delay(10)
  }
  return true
}

/** Asks the process to end, waits, and kills it when it has not. */
export const endProcess = async (process_: ProcessIdentity, graceMs: number): Promise<void> => {
  await signalIfAlive(process_, 'SIGTERM')
  if (await waitUntilGone(process_, graceMs)) return
  await signalIfAlive(process_, 'SIGKILL')
  await waitUntilGone(process_, 5000)
}

/** Processes with such arguments and all these variables in their environment, read from the kernel. */
export const findProcesses = async (
  hasArguments: (args: string[]) => boolean,
  variables: readonly string[] = [],
): Promise<ProcessIdentity[]> => {
  const isWanted = async (pid: number): Promise<boolean> => {
    const args = await readIfAny(`/proc/${pid}/cmdline`)
    if (!args || !hasArguments(args.split('\0'))) return false
    const environment = (await readIfAny(`/proc/${pid}/environ`))?.split('\0') ?? []
    return variables.every((variable) => environment.includes(variable))
  }
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const found = await Promise.all(
    pids.map(async (pid) => ((await isWanted(pid)) ? identify(pid) : undefined)),
  )
  return found.filter((one) => one !== undefined)
}

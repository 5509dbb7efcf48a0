import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { Failure, reasonOf } from '../../shared/failure.ts'
import { systemPath } from '../../shared/recorder.ts'
import { waitFor } from './bounded-wait.ts'
import { type BundlePaths, readIfThere } from './bundle.ts'
import { commandLine } from './process-identity.ts'

/** One launch by conmon, which supervises what the native program makes: stdio, log, terminal, exit status. */
export interface Launch {
  /** Name of the exit file. */
  id: string
  paths: BundlePaths
  exitDirectory: string
  terminal: boolean
  stdin: boolean
}

/** What launches need of the host, found out once. */
export interface MonitorHost {
  conmon: string
  /** Descriptor of the sealed native program. */
  program: number
  cgroups: readonly string[]
}

const logBytes = 16 * 2 ** 20
/** Making a container takes milliseconds; a throttled or swapping host may take long. */
const launchLimitMs = 30_000
const [syncPipe, startPipe, programDescriptor] = [3, 4, 5]

/** conmon's command line; relative to the bundle, in which it runs. */
export const monitorArguments = ({ id, paths, exitDirectory, terminal, stdin }: Launch): string[] =>
  [
    ['--api-version', '1', '--cid', id, '--cuuid', id, '--name', id],
    ['--runtime', `/proc/self/fd/${programDescriptor}`, '--bundle', paths.directory],
    ['--container-pidfile', paths.pid, '--conmon-pidfile', paths.monitorPid],
    ['--exit-dir', exitDirectory, '--full-attach'],
    ['--log-path', `k8s-file:${paths.log}`, '--log-size-max', String(logBytes), '--no-sync-log'],
    // A terminal outlives the client that detaches from it; a pipe ends with its writer.
    terminal ? ['--terminal', '--leave-stdin-open'] : [],
    stdin ? ['--stdin'] : [],
  ].flat()

const start = ({ conmon, program }: MonitorHost, launch: Launch): ChildProcess => {
  const errors = openSync(launch.paths.monitorErrors, 'w', 0o600)
  try {
    return spawn(conmon, monitorArguments(launch), {
      cwd: launch.paths.directory,
      detached: true,
      stdio: ['ignore', errors, errors, 'pipe', 'pipe', program],
      env: {
        PATH: systemPath,
        LC_ALL: 'C',
        // For the console socket: relative, since a socket's path has only 107 bytes.
        TMPDIR: '.',
        _OCI_SYNCPIPE: String(syncPipe),
        _OCI_STARTPIPE: String(startPipe),
      },
    })
  } finally {
    closeSync(errors)
  }
}

/** conmon says `{"pid": …}` or `{"data": …}` in one line; nothing when it dies. */
const answerOf = (child: ChildProcess): Promise<string> => {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const pipe = child.stdio[syncPipe] as Socket
  let text = ''
  const timer = setTimeout(() => {
    reject(new Failure('timeout', `conmon did not answer within ${launchLimitMs} ms`))
  }, launchLimitMs)
  pipe.setEncoding('utf8')
  pipe.on('data', (chunk: string) => {
    text += chunk
    if (text.includes('\n')) resolve(text)
  })
  pipe.on('error', reject)
  pipe.on('close', () => resolve(text))
  child.once('error', reject)
  return promise.finally(() => {
    clearTimeout(timer)
    pipe.destroy()
  })
}

const release = (child: ChildProcess, cgroups: readonly string[]): void => {
  // Before conmon forks: afterwards the pid that is known here is not the one that stays.
  for (const directory of cgroups)
    writeFileSync(join(directory, 'cgroup.procs'), String(child.pid), { flag: 'r+' })
  const pipe = child.stdio[startPipe] as Socket
  pipe.on('error', () => child.kill('SIGKILL'))
  pipe.end('\0')
}

/** What conmon wrote before it had a log. */
const monitorErrors = (paths: BundlePaths): string => (readIfThere(paths.monitorErrors) ?? '').trim()

/** Runs conmon until init waits for its start. Answers what conmon says when init was not made. */
export const launchMonitor = async (host: MonitorHost, launch: Launch): Promise<string | undefined> => {
  const child = start(host, launch)
  try {
    const answered = answerOf(child)
    if (child.pid !== undefined) {
      try {
        release(child, host.cgroups)
      } catch (error) {
        child.kill('SIGKILL')
        answered.catch(() => undefined)
        throw error
      }
    }
    const answer = await answered
    const pid = /"(?:pid|data)"\s*:\s*(-?\d+)/.exec(answer)?.[1]
    return pid !== undefined && Number(pid) > 0
      ? undefined
      : answer || monitorErrors(launch.paths) || 'conmon died'
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure('system', `cannot run ${host.conmon}: ${reasonOf(error)}`, { cause: error })
  }
}

/** The monitor and the runtime both name the bundle; init does too, until it runs the container's command. */
const namesBundle = (pid: number, directory: string): boolean => {
  const line = commandLine(pid)
  const option = line?.indexOf('--bundle') ?? -1
  return line !== undefined && option !== -1 && line[option + 1] === directory
}

/** The living conmon of a bundle by its pid file, or undefined. */
export const monitorOf = (paths: BundlePaths): number | undefined => {
  const pid = Number(readIfThere(paths.monitorPid)?.trim() || Number.NaN)
  return Number.isInteger(pid) && namesBundle(pid, paths.directory) ? pid : undefined
}

/** Every process of the host that makes or supervises the bundle: for one that died before it wrote its pid. */
export const launchersOf = (paths: BundlePaths): number[] =>
  readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => namesBundle(pid, paths.directory))

/** Waits for them to end of themselves, which takes one or two milliseconds after init, then kills them. */
export const endLaunchers = async (
  pids: readonly number[],
  paths: BundlePaths,
  graceMs = 300,
): Promise<void> => {
  const left = () => pids.filter((pid) => namesBundle(pid, paths.directory))
  const ended = () => (left().length === 0 ? true : undefined)
  if (await waitFor(ended, graceMs)) return
  for (const pid of left()) process.kill(pid, 'SIGKILL')
  if (!(await waitFor(ended, 5000))) {
    throw new Failure(
      'busy',
      `cannot end the monitor of ${paths.directory}: process ${left().join(', ')} still runs`,
    )
  }
}

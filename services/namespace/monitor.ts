import { readdirSync } from 'node:fs'
import { type Coprocess, createCoprocess, errnoWords } from '../../shared/coprocess.ts'
import { Failure, errnoOf } from '../../shared/failure.ts'
import type { Names } from '../../shared/names.ts'
import { systemPath } from '../../shared/recorder.ts'
import { waitFor } from './bounded-wait.ts'
import { type BundlePaths, readIfThere } from './bundle.ts'
import { ensureMonitorCgroups } from './monitor-cgroup.ts'
import { nativeProgram, preloadedLibrary } from './native-program.ts'
import { commandLine } from './process-identity.ts'

/** One launch by conmon, which supervises what the native program makes: stdio, log, terminal, exit status. */
export interface Launch {
  /** Name of the exit file. */
  id: string
  paths: BundlePaths
  exitDirectory: string
  terminal: boolean
  stdin: boolean
  /** What the log may take. */
  logSizeBytes: number
}

/** What launches need of the host, found out once. */
export interface MonitorHost {
  conmon: string
  /** A sealed copy of the native program, which starts monitors where they shall live. */
  spawner: Coprocess
}

/** Making a container takes milliseconds; a throttled or swapping host may take long. */
const launchLimitMs = 30_000
/** As the spawner lays them out. */
const [syncPipe, programDescriptor] = [3, 4]

const environment = [
  `PATH=${systemPath}`,
  'LC_ALL=C',
  // For the console socket: relative, since a socket's path has only 107 bytes.
  'TMPDIR=.',
  `_OCI_SYNCPIPE=${syncPipe}`,
]

/**
 * The program that starts monitors. It lives in their cgroups, so that each is born there: moving one
 * would wait 10 ms for every fork of the host. It keeps one conmon loaded, which is forked for each: to load it takes
 * longer than all that it does. It is a sealed copy of itself, and so is what the monitors run in turn: a process in a
 * container that reaches it through `/proc/<pid>/exe` cannot write to it (CVE-2019-5736).
 */
export const createSpawner = (names: Names, conmon: string): Coprocess =>
  createCoprocess(nativeProgram, () => [
    'spawner',
    '--preload',
    conmon,
    preloadedLibrary,
    names.bundles,
    ...ensureMonitorCgroups(names),
  ])

/**
 * A mount namespace of `/proc`, `/sys` and the bundles alone, which the spawner keeps open: containers' begin
 * as copies of it. To copy the host's takes longer with every mount, so with every container that runs.
 */
export const bareNamespace = ({ spawner }: MonitorHost): string => `/proc/${spawner.pid()}/fd/5`

/** conmon counts what it writes itself, so that a run has half: the other is for what was there before. */
const runBytes = (logSizeBytes: number): number => Math.ceil(logSizeBytes / 2)

/** conmon's command line; relative to the bundle, in which it runs. */
export const monitorArguments = ({
  id,
  paths,
  exitDirectory,
  terminal,
  stdin,
  logSizeBytes,
}: Launch): string[] =>
  [
    ['--api-version', '1', '--cid', id, '--cuuid', id, '--name', id],
    ['--runtime', `/proc/self/fd/${programDescriptor}`, '--bundle', paths.directory],
    ['--container-pidfile', paths.pid, '--conmon-pidfile', paths.monitorPid],
    ['--exit-dir', exitDirectory, '--full-attach'],
    [
      '--log-path',
      `k8s-file:${paths.log}`,
      '--log-size-max',
      String(runBytes(logSizeBytes)),
      '--no-sync-log',
    ],
    // A terminal outlives the client that detaches from it; a pipe ends with its writer.
    terminal ? ['--terminal', '--leave-stdin-open'] : [],
    stdin ? ['--stdin'] : [],
  ].flat()

/** What conmon wrote before it had a log. */
const monitorErrors = (paths: BundlePaths): string => (readIfThere(paths.monitorErrors) ?? '').trim()

/** Runs conmon until init waits for its start. Answers what conmon says when init was not made. */
export const launchMonitor = async (
  { conmon, spawner }: MonitorHost,
  launch: Launch,
): Promise<string | undefined> => {
  const { directory, monitorErrors: errors } = launch.paths
  const command = [conmon, ...monitorArguments(launch)]
  const task = ['launch', errors, String(environment.length), directory, ...environment, ...command]
  const { errno, said } = await spawner.ask(task, launchLimitMs)
  if (errno !== 0) throw new Failure('system', `cannot run ${conmon}: ${errnoWords(errno).join(': ')}`)
  // conmon says `{"pid": …}` or `{"data": …}` in one line; nothing when it dies.
  const pid = /"(?:pid|data)"\s*:\s*(-?\d+)/.exec(said)?.[1]
  return pid !== undefined && Number(pid) > 0
    ? undefined
    : said || monitorErrors(launch.paths) || 'conmon died'
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
  for (const pid of left()) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if (errnoOf(error) !== 'ESRCH') throw error // it ended between the look and the signal
    }
  }
  if (!(await waitFor(ended, 5000))) {
    throw new Failure(
      'busy',
      `cannot end the monitor of ${paths.directory}: process ${left().join(', ')} still runs`,
    )
  }
}

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../../../shared/config.ts'
import { Failure, type FailureCode } from '../../../shared/failure.ts'
import { createLog } from '../../../shared/log.ts'
import { requireBus, requireKeys } from './bus-elsewhere.ts'
import { requireNoKeeper } from './deployment.ts'
import { requireFitHost } from './host-checks.ts'
import { projectDirectory } from './project.ts'
import { releaseHost } from './release-host.ts'
import { boundLog, lastWords, openLog } from './service-log.ts'
import { environmentOf, leanMemory } from './stack-environment.ts'
import { type StackInfo, readStackInfo } from './stack-files.ts'
import { type Progress, supervise } from './supervisor.ts'

/** What a supervisor in the background tells the program that started it. */
export type SupervisorMessage =
  | { progress: string }
  | { ready: StackInfo }
  | { failure: { code: FailureCode; message: string } }

export interface UpOptions {
  onProgress?: Progress
  /** Called once, when every service answers. */
  onReady?: (info: StackInfo) => void
  /** Ends the stack, beside SIGTERM and SIGINT, and gives the host back. */
  signal?: AbortSignal
}

/** Runs the stack in this process until SIGTERM, SIGINT or SIGHUP. Throws `Failure` when it cannot start. */
export const upInForeground = async (
  config: Config,
  { onProgress, onReady, signal }: UpOptions = {},
): Promise<void> => {
  const log = createLog({ service: 'supervisor', node: config.node }, config.logLevel)
  const stopping = new AbortController()
  const ended = Promise.withResolvers<void>()
  const end = (reason: string) => {
    stopping.abort(new Failure('interrupted', `cannot start the stack of ${config.root}: ${reason}`))
    ended.resolve()
  }
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(name, () => end(`got ${name}`))
  signal?.addEventListener('abort', () => end('asked to stop'), { once: true })
  await requireFitHost(config)
  if (config.joined) {
    await requireKeys(config)
    await requireBus(config)
  }
  const supervisor = await supervise(config, {
    log,
    signal: stopping.signal,
    ...(onProgress ? { onProgress } : {}),
  })
  log.info({ url: supervisor.info().url }, 'stack ready')
  onReady?.(supervisor.info())
  await ended.promise
  log.info('stack stopping')
  if (signal?.aborted) await releaseHost(config)
  await supervisor.stop()
}

const readyOf = async (
  child: ChildProcess,
  logFile: string,
  from: number,
  onProgress: Progress,
): Promise<StackInfo> => {
  const { promise, resolve, reject } = Promise.withResolvers<StackInfo>()
  child.on('message', (message: SupervisorMessage) => {
    if ('progress' in message) onProgress(message.progress)
    else if ('ready' in message) resolve(message.ready)
    else reject(new Failure(message.failure.code, message.failure.message))
  })
  child.once('error', reject)
  child.once('exit', (code, signal) => {
    // The log may be gone by then, with the root of a stack that was taken down.
    const words = lastWords(logFile, { from }).catch(() => '')
    void words.then((said) =>
      reject(
        new Failure(
          'host_unfit',
          `cannot start the supervisor: it ended with ${signal ?? `exit code ${code}`}${said ? `: ${said}` : ''}`,
        ),
      ),
    )
  })
  return promise
}

/**
 * Starts a supervisor in a session of its own and resolves when the stack is ready. The connection to
 * it stays open until `letGo`; with `bound`, the stack stops when this process ends before that.
 */
export const startSupervisor = async (
  config: Config,
  { onProgress = () => {}, bound = false }: { onProgress?: Progress; bound?: boolean } = {},
) => {
  await mkdir(config.names.logs, { recursive: true, mode: 0o750 })
  const logFile = join(config.names.logs, 'supervisor.log')
  const file = await openLog(logFile)
  await boundLog(logFile)
  const { size } = await file.stat()
  const child = spawn(
    process.execPath,
    [...leanMemory, 'services/cli/stack/main.ts', ...(bound ? ['--bound'] : [])],
    {
      cwd: projectDirectory,
      env: environmentOf(config),
      detached: true,
      stdio: ['ignore', file.fd, file.fd, 'ipc'],
    },
  )
  await file.close()
  const letGo = () => {
    if (child.connected) child.disconnect()
    child.unref()
  }
  try {
    return { info: await readyOf(child, logFile, size, onProgress), pid: child.pid, letGo }
  } catch (error) {
    letGo()
    throw error
  }
}

/** Runs the stack in the background; a stack that runs already is the answer. Throws `Failure` when it cannot start. */
const upInBackground = async (config: Config, { onProgress = () => {} }: UpOptions): Promise<StackInfo> => {
  const running = await readStackInfo(config)
  if (running) {
    onProgress(`already up, supervised by process ${running.supervisor}`)
    return running
  }
  const { info, letGo } = await startSupervisor(config, { onProgress })
  letGo()
  return info
}

/**
 * Starts the stack of this host: with `detach` in the background, resolving when it is ready, else in
 * this process, resolving when it has been stopped. Throws `Failure` when it cannot start.
 */
export const up = async (
  config: Config,
  { detach = false, ...options }: UpOptions & { detach?: boolean } = {},
): Promise<void> => {
  await requireNoKeeper(config, 'start')
  if (!detach) return upInForeground(config, options)
  const info = await upInBackground(config, options)
  options.onReady?.(info)
}

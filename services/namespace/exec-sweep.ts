import { existsSync, readdirSync, statSync } from 'node:fs'
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import { reasonOf } from '../../shared/failure.ts'
import type { Context } from '../../shared/service.ts'
import { bundlePaths, removeBundle } from './bundle.ts'
import { discardExec, statusOf } from './exec.ts'
import type { NamespaceHost } from './host.ts'
import { monitorOf } from './monitor.ts'
import { readInit } from './process-identity.ts'

/** How long after its end somebody may still ask how an exec ended, or may have it started. */
const keptMs = 600_000
const everyMs = 300_000

/** Whether an exec has ended, or was never started, a while ago: nobody waits for it, as for a detached one. */
const isForgotten = (directory: string, execId: string): boolean => {
  const paths = bundlePaths(directory)
  // Its end puts a file there.
  const { mtimeMs } = statSync(directory, { throwIfNoEntry: false }) ?? { mtimeMs: Infinity }
  if (Date.now() - mtimeMs < keptMs) return false
  return !existsSync(paths.started) || statusOf(paths, execId) !== undefined
}

const sweepOne = async (directory: string, execId: string): Promise<void> => {
  const paths = bundlePaths(directory)
  const isOver = statusOf(paths, execId) !== undefined && monitorOf(paths) === undefined
  // Whoever else may belong to it is looked for among all processes of the host.
  await (isOver && readInit(paths.pid) ? removeBundle(paths) : discardExec(paths))
}

/** Removes what execs that nobody waits for have left in containers that live on; until the signal. */
export const sweepExecs = async (
  host: NamespaceHost,
  { log }: Pick<Context, 'log'>,
  signal: AbortSignal,
): Promise<void> => {
  const kept = (id: string, error: unknown) =>
    log.warn({ container: id, reason: reasonOf(error) }, 'an exec that nobody waits for stays')
  const sweep = async (id: string): Promise<void> => {
    const { execs, exec } = host.paths(id)
    if (!existsSync(execs)) return
    for (const execId of readdirSync(execs)) {
      if (signal.aborted) return
      if (isForgotten(exec(execId), execId))
        await sweepOne(exec(execId), execId).catch((error: unknown) => kept(id, error))
      // There may be thousands, and launches wait.
      await nextTurn()
    }
  }
  while (!signal.aborted) {
    try {
      for (const id of readdirSync(host.names.bundles)) await sweep(id)
    } catch (error) {
      log.warn({ reason: reasonOf(error) }, 'execs that nobody waits for stay')
    }
    await delay(everyMs, undefined, { signal }).catch(() => undefined) // aborted
  }
}

import { existsSync, readdirSync, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { reasonOf } from '../../shared/failure.ts'
import type { Context } from '../../shared/service.ts'
import { bundlePaths } from './bundle.ts'
import { discardExec, statusOf } from './exec.ts'
import type { NamespaceHost } from './host.ts'

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

const sweep = async (host: NamespaceHost): Promise<void> => {
  for (const id of readdirSync(host.names.bundles)) {
    const { execs, exec } = host.paths(id)
    if (!existsSync(execs)) continue
    for (const execId of readdirSync(execs))
      if (isForgotten(exec(execId), execId)) await discardExec(bundlePaths(exec(execId)))
  }
}

/** Removes what execs that nobody waits for have left in containers that live on; until the signal. */
export const sweepExecs = async (
  host: NamespaceHost,
  { log }: Pick<Context, 'log'>,
  signal: AbortSignal,
): Promise<void> => {
  while (!signal.aborted) {
    await sweep(host).catch((error: unknown) =>
      log.warn({ reason: reasonOf(error) }, 'execs that nobody waits for stay'),
    )
    await delay(everyMs, undefined, { signal }).catch(() => undefined) // aborted
  }
}

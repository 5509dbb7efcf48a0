import { existsSync, readdirSync, watch } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { ContainerId } from '../../shared/contracts/identity.ts'
import { reasonOf } from '../../shared/failure.ts'
import type { Context } from '../../shared/service.ts'
import { exitOf, reportExit } from './exit-status.ts'
import type { NamespaceHost } from './host.ts'
import { monitorOf } from './monitor.ts'

/** inotify may lose events when its queue overflows, and a killed monitor leaves no file at all. */
const rescanMs = 15_000

const isId = (name: string): boolean => ContainerId.safeParse(name).success

/** Exit files, and containers whose end stands nowhere yet. */
const unreported = (host: NamespaceHost): string[] => {
  const bundles = readdirSync(host.names.bundles).filter((id) => {
    if (!isId(id)) return false
    const paths = host.paths(id)
    // Of most the monitor lives, which is all that has to be read: it would have left a file.
    return !existsSync(paths.reported) && monitorOf(paths) === undefined && exitOf(host, id) !== undefined
  })
  // Looked for last: a monitor that has ended since has left its file by now.
  const files = readdirSync(host.names.exits).filter(isId)
  return [...new Set([...files, ...bundles])]
}

/** Publishes each exit of a container as it happens, and those that happened while nobody watched; until the signal. */
export const watchExits = async (
  host: NamespaceHost,
  context: Context,
  signal: AbortSignal,
): Promise<void> => {
  const reporting = new Map<string, Promise<void>>()
  const report = (id: string): void => {
    if (reporting.has(id)) return
    const done = reportExit(host, id, context)
      .catch((error: unknown) =>
        context.log.warn({ container: id, reason: reasonOf(error) }, 'exit not reported yet'),
      )
      .finally(() => reporting.delete(id))
    reporting.set(id, done)
  }
  // conmon renames a finished file into place, so a name that is an id is a whole file.
  const watcher = watch(host.names.exits, (_, name) => {
    if (name && isId(name) && existsSync(host.exitFile(name))) report(name)
  })
  watcher.on('error', (error) => context.log.warn({ reason: reasonOf(error) }, 'exit directory not watched'))
  while (!signal.aborted) {
    for (const id of unreported(host)) report(id)
    await delay(rescanMs, undefined, { signal }).catch(() => undefined)
  }
  watcher.close()
  await Promise.all(reporting.values())
}

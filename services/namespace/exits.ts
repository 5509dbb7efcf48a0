import { type FSWatcher, existsSync, readdirSync, watch } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { ContainerId } from '../../shared/contracts/identity.ts'
import { reasonOf } from '../../shared/failure.ts'
import type { Context } from '../../shared/service.ts'
import { reportExit } from './exit-status.ts'
import type { NamespaceHost } from './host.ts'
import { monitorOf } from './monitor.ts'

/** inotify may lose events when its queue overflows, and a killed monitor leaves no file at all. */
const rescanMs = 15_000
/** The same where nothing is told of exits, for want of inotify instances (`max_user_instances`, inotify(7)) or of space. */
const unwatchedMs = 1000

const isId = (name: string): boolean => ContainerId.safeParse(name).success

/** Publishes each exit of a container as it happens, and those that happened while nobody watched; until the signal. */
export const watchExits = async (
  host: NamespaceHost,
  context: Context,
  signal: AbortSignal,
): Promise<void> => {
  const { exits, bundles } = host.names
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

  /** Whether the end of a container may stand nowhere yet; of most the monitor lives, which is all that has to be read. */
  const isUnreported = (id: string): boolean => {
    const paths = host.paths(id)
    return isId(id) && !existsSync(paths.reported) && monitorOf(paths) === undefined && existsSync(paths.pid)
  }

  let watcher: FSWatcher | undefined
  let told = ''
  /** Says so once, not with every look. */
  const unwatched = (error: unknown): void => {
    const reason = reasonOf(error)
    if (reason !== told) context.log.warn({ reason }, 'exit directory not watched')
    told = reason
    watcher?.close()
    watcher = undefined
  }
  const look = (): void => {
    try {
      // conmon renames a finished file into place, so a name that is an id is a whole file.
      watcher ??= watch(exits, (_, name) => {
        if (name && isId(name) && existsSync(host.exitFile(name))) report(name)
      }).on('error', unwatched)
    } catch (error) {
      unwatched(error)
    }
    try {
      for (const id of readdirSync(bundles)) if (isUnreported(id)) report(id)
      // Looked for last: a monitor that has ended since has left its file by now.
      for (const id of readdirSync(exits)) if (isId(id)) report(id)
    } catch (error) {
      context.log.warn({ reason: reasonOf(error) }, 'exits not looked for')
    }
  }

  while (!signal.aborted) {
    look()
    await delay(watcher ? rescanMs : unwatchedMs, undefined, { signal }).catch(() => undefined) // aborted
  }
  watcher?.close()
  await Promise.all(reporting.values())
}

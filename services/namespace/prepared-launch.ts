import { existsSync, mkdirSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { NamespaceHost } from './host.ts'
import { type Launch, endLaunchers, launchMonitor, launchersOf } from './monitor.ts'

/** What one monitor is started for: what the container's specification says of it. */
export interface Monitored {
  id: string
  process: { terminal: boolean; stdin: boolean }
  logSizeBytes: number
}

/** A monitor whose runtime waits for the bundle's plan; what conmon will say of the launch. */
interface PreparedLaunch {
  said: Promise<string | undefined>
  isOver: boolean
}

/** By the container's id. */
export type PreparedLaunches = Map<string, PreparedLaunch>

/** The monitor's part of a container's launch. */
export const launchOf = (
  { paths, names }: Pick<NamespaceHost, 'paths' | 'names'>,
  { id, process: { terminal, stdin }, logSizeBytes }: Monitored,
): Launch => ({ id, paths: paths(id), exitDirectory: names.exits, terminal, stdin, logSizeBytes })

/**
 * Starts a container's monitor before the rest of what the container needs is there: conmon takes longer to
 * come up than the kernel to make all the namespaces. Whoever finds anything of the container leaves it be.
 */
export const prepareLaunch = (host: NamespaceHost, monitored: Monitored): void => {
  const { id } = monitored
  const { directory } = host.paths(id)
  if (existsSync(directory)) return
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const prepared: PreparedLaunch = {
    said: launchMonitor(host.monitor, launchOf(host, monitored)),
    isOver: false,
  }
  const over = (): void => void (prepared.isOver = true)
  prepared.said.then(over, over)
  host.prepared.set(id, prepared)
}

/** The launch that was prepared for the container and still waits; afterwards nobody else finds it. */
export const takePrepared = (host: NamespaceHost, id: string): Promise<string | undefined> | undefined => {
  const prepared = host.prepared.get(id)
  host.prepared.delete(id)
  return prepared && !prepared.isOver ? prepared.said : undefined
}

/** Between two looks for a monitor that has not come up yet. */
const lookMs = 5

/**
 * Ends the launch that was prepared for the container, if any. Until it is over its monitor may still come up:
 * before it runs conmon nothing tells it from others.
 */
export const abandonPrepared = async (host: NamespaceHost, id: string): Promise<void> => {
  const prepared = host.prepared.get(id)
  host.prepared.delete(id)
  const paths = host.paths(id)
  while (prepared && !prepared.isOver) {
    await endLaunchers(launchersOf(paths), paths, 0)
    await delay(lookMs)
  }
}

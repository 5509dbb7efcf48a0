import { readFile } from 'node:fs/promises'
import type { Config } from '../../../shared/config.ts'
import { Failure } from '../../../shared/failure.ts'
import { requireNoKeeper } from './deployment.ts'
import { endOrphans, natsRuns } from './orphans.ts'
import { signalIfAlive, waitUntilGone } from './process-table.ts'
import { type ReleaseResult, releaseHost } from './release-host.ts'
import { runningSupervisor } from './stack-files.ts'
import type { Progress } from './supervisor.ts'

const stopWaitMs = 90_000

export interface DownResult extends ReleaseResult {
  wasRunning: boolean
}

/** What a stack that does not run has left on the host: it takes the services to remove it. */
const leftOnHost = async ({ names }: Config): Promise<string[]> => {
  const [mounts, links] = await Promise.all([
    readFile('/proc/self/mountinfo', 'utf8'),
    readFile('/proc/net/dev', 'utf8'),
  ])
  return [
    ...(mounts.includes(` ${names.cowfs} `) ? [`the mount ${names.cowfs}`] : []),
    ...(links.includes(`${names.bridge}:`) ? [`the bridge ${names.bridge}`] : []),
  ]
}

const say = ({ containers, kept }: DownResult, onProgress: Progress): void => {
  const [count, these] = [containers.length, containers.slice(0, 5).join(', ')]
  if (count > 0)
    onProgress(
      `${count} ${count === 1 ? 'container stays' : 'containers stay'}, running ones go on: ${these}${count > 5 ? ', …' : ''}; "dolly up" finds them again`,
    )
  else for (const reason of kept) onProgress(`cannot release ${reason}`)
}

/**
 * Stops the stack: first the services give the host back what they prepared, unless containers need
 * it, then the supervisor stops them and the bus. Nothing running is success.
 */
export const down = async (
  config: Config,
  { onProgress = () => {} }: { onProgress?: Progress } = {},
): Promise<DownResult> => {
  await requireNoKeeper(config, 'stop')
  const supervisor = await runningSupervisor(config)
  // A supervisor that was killed leaves its services, which can still release.
  if (!supervisor && !(await natsRuns(config))) {
    await endOrphans(config)
    const left = await leftOnHost(config)
    const kept =
      left.length > 0
        ? `; it left ${left.join(' and ')}: "dolly up" takes them over, then "dolly down" removes them`
        : ''
    onProgress(`the stack of ${config.root} does not run${kept}`)
    return { wasRunning: false, released: [], kept: left, containers: [] }
  }
  const result = { wasRunning: true, ...(await releaseHost(config)) }
  say(result, onProgress)
  if (supervisor) {
    await signalIfAlive(supervisor, 'SIGTERM')
    const gone = await waitUntilGone(supervisor, stopWaitMs)
    if (!gone)
      throw new Failure(
        'timeout',
        `cannot stop the stack of ${config.root}: supervisor ${supervisor.pid} still runs after ${stopWaitMs / 1000} s`,
      )
  }
  await endOrphans(config)
  onProgress(`the stack of ${config.root} is down`)
  return result
}

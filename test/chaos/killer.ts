import { setTimeout as delay } from 'node:timers/promises'
import { serviceNames } from '../../services/cli/stack/project.ts'
import type { Config } from '../../shared/config.ts'
import { natsServerOf, processesOf, signal as send } from '../helpers/fault-processes.ts'
import type { Random } from './random.ts'

interface KillerParts {
  config: Config
  random: Random
  signal: AbortSignal
}

const targets = [
  ...serviceNames.map((name) => [name === 'orchestrator' ? 6 : 2, name] as const),
  [1, 'nats-server'] as const,
]

/**
 * Kills a process of the stack at random moments, or stops it for a while so that others take its work and
 * it wakes up to find that, until the signal. The namespace service is what started every conmon. Answers
 * how often each was hit.
 */
export const runKiller = async ({ config, random, signal }: KillerParts): Promise<Record<string, number>> => {
  const hits: Record<string, number> = {}
  const stopped = new Set<Promise<void>>()

  const stopFor = async (pid: number, ms: number): Promise<void> => {
    send(pid, 'SIGSTOP')
    await delay(ms)
    send(pid, 'SIGCONT')
  }

  while (!signal.aborted) {
    await delay(random.between(50, 1500))
    const name = random.weighted(targets)
    const [moment, stops, stopMs] = [random.between(0, 1), random.chance(0.2), random.between(500, 5000)]
    const running = name === 'nats-server' ? await natsServerOf(config) : await processesOf(config, name)
    const victim = running[Math.floor(moment * running.length)]
    if (!victim) continue
    const what = stops ? `${name} stopped` : name
    hits[what] = (hits[what] ?? 0) + 1
    if (!stops) {
      send(victim.pid, 'SIGKILL')
      continue
    }
    const stop = stopFor(victim.pid, stopMs)
    stopped.add(stop)
    void stop.then(() => stopped.delete(stop))
  }
  await Promise.all(stopped)
  return hits
}

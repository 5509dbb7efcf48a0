import { readFileSync, readdirSync } from 'node:fs'
import { ulid } from 'ulid'
import { errnoOf } from '../../shared/failure.ts'
import { patienceMs } from '../../shared/patience.ts'
import { retrying } from '../../shared/retry.ts'
import type { ContainerClient } from './container-client.ts'

const acceptedWithinMs = 60_000

/** Publishes a command until the bus has acknowledged it, under one message id: a repetition is no second command. */
export const accepted = (client: ContainerClient, subject: string, body: object): Promise<string> => {
  const commandId = ulid()
  return retrying(() => client.publish(subject, body, commandId), {
    signal: AbortSignal.timeout(patienceMs(acceptedWithinMs)),
  })
}

const commandLine = (pid: string): string[] => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return [] // it has ended meanwhile
    throw error
  }
}

/** The pids of every process that runs `sleep SECONDS`, in whichever container, by its seconds. */
export const sleepers = (): Map<string, string[]> => {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  const found = pids.map((pid) => ({ pid, line: commandLine(pid) })).filter(({ line }) => line[0] === 'sleep')
  const bySeconds = Map.groupBy(found, ({ line }) => line[1] ?? '')
  return new Map([...bySeconds].map(([seconds, own]) => [seconds, own.map(({ pid }) => pid)]))
}

/** How many processes run `sleep SECONDS`. */
export const sleeping = (seconds: string): number => sleepers().get(seconds)?.length ?? 0

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { FileHandle } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { reasonOf } from '../../../shared/failure.ts'
import type { Log } from '../../../shared/log.ts'
import { boundLog, lastWords, openLog } from './service-log.ts'
import { patienceMs } from '../../../shared/patience.ts'

export interface Program {
  name: string
  command: string
  args: readonly string[]
  cwd: string
  env: NodeJS.ProcessEnv
  logFile: string
}

const firstPauseMs = 100
const longestPauseMs = 5000
/** A program that has run this long is well: the next pause is the first again. */
const healthyMs = 10_000

/** The pause before the next start. */
export const nextPause = (pauseMs: number, ranMs: number): number =>
  ranMs >= healthyMs ? firstPauseMs : Math.min(pauseMs * 2, longestPauseMs)

/** Starts a program and starts it again whenever it ends, until it is stopped. */
export const keepRunning = (program: Program, { log, onChange }: { log: Log; onChange: () => void }) => {
  const { name, command, args, cwd, env, logFile } = program
  const stopping = new AbortController()
  let child: ChildProcess | undefined
  let exit: string | undefined
  let starts = 0

  const runOnce = async (): Promise<void> => {
    let file: FileHandle | undefined
    try {
      file = await openLog(logFile)
      await boundLog(logFile)
      const { size: from } = await file.stat()
      if (stopping.signal.aborted) return
      // A session of its own: Ctrl-C on the supervisor's terminal must not reach it, the supervisor stops it in order.
      child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', file.fd, file.fd] })
      const ended = once(child, 'exit')
      starts++
      onChange()
      const [code, signal] = (await ended) as [number | null, NodeJS.Signals | null]
      const said = await lastWords(logFile, { from })
      exit = `it ended with ${signal ?? `exit code ${code}`}${said ? `: ${said}` : ''}`
    } catch (error) {
      exit = `${command} cannot be run: ${reasonOf(error)}`
    } finally {
      child = undefined
      await file?.close()
    }
  }

  const loop = async (): Promise<void> => {
    let pauseMs = firstPauseMs
    while (!stopping.signal.aborted) {
      const began = performance.now()
      await runOnce()
      if (stopping.signal.aborted) return
      log.warn({ program: name, reason: exit, pauseMs }, 'program ended, starting it again')
      onChange()
      await delay(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined) // the wait is cut short by stop
      pauseMs = nextPause(pauseMs, performance.now() - began)
    }
  }
  const finished = loop()

  return {
    name,
    logFile,
    pid: () => child?.pid,
    starts: () => starts,
    /** How it last ended, or undefined when it never did. */
    lastExit: () => exit,
    /** Asks it to end, kills it when it has not within the time, and resolves when it is gone for good. */
    stop: async (graceMs = 10_000): Promise<void> => {
      stopping.abort()
      child?.kill('SIGTERM')
      const killer = setTimeout(() => {
        log.error({ program: name, graceMs }, 'program did not stop in time, killing it')
        child?.kill('SIGKILL')
      }, patienceMs(graceMs))
      await finished
      clearTimeout(killer)
    },
  }
}

export type KeptProgram = ReturnType<typeof keepRunning>

import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { getSystemErrorMap } from 'node:util'
import { Failure, reasonOf } from './failure.ts'
import { systemPath } from './recorder.ts'
import { patienceMs } from './patience.ts'

const replyWithinMs = 60_000
const mostBytes = 1 << 16

/** What a task answers: 0 or an errno, and a line of its own. */
export interface TaskReply {
  errno: number
  said: string
}

const errors = getSystemErrorMap()

/** `EPERM` and `operation not permitted`. */
export const errnoWords = (errno: number): readonly [name: string, text: string] =>
  errors.get(-errno) ?? [`errno ${errno}`, 'unknown error']

/** The request as the native program reads it: its size, then NUL-terminated words, the first its number. */
const frame = (number: number, words: readonly string[]): Buffer => {
  const body = Buffer.from([String(number), ...words].map((word) => `${word}\0`).join(''))
  if (body.length > mostBytes || words.some((word) => word.includes('\0')))
    throw new Failure(
      'invalid_message',
      `cannot ask for "${words[0]}": its arguments are too long or have NUL`,
    )
  const size = Buffer.alloc(4)
  size.writeUInt32LE(body.length)
  return Buffer.concat([size, body])
}

const start = (program: string, args: readonly string[]): ChildProcess => {
  try {
    accessSync(program, constants.X_OK)
  } catch (error) {
    const hint = 'run "make setup"'
    throw new Failure('host_unfit', `cannot run ${program}: ${reasonOf(error)}; ${hint}`, { cause: error })
  }
  return spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    // A session of its own: the terminal's Ctrl-C is for the service, which still needs it while it drains.
    detached: true,
    cwd: '/',
    env: { PATH: systemPath, LC_ALL: 'C' },
  })
}

/** One running native program; it ends when its standard input does, so with this program at the latest. */
const run = (program: string, args: readonly string[]) => {
  const child = start(program, args)
  // One that could not be started has closed, and `abandon` says why.
  const closed = once(child, 'close').catch(() => undefined)
  const handles = [
    child,
    ...[child.stdin, child.stdout, child.stderr].filter((pipe) => pipe instanceof Socket),
  ]
  const waiting = new Map<number, (reply: TaskReply | Failure) => void>()
  let [last, unread, complaint, ended] = [0, '', '', false]

  const hold = (held: boolean) => {
    // Idle, it must not keep this program running.
    for (const handle of handles)
      if (held) handle.ref()
      else handle.unref()
  }
  const settle = (number: number, reply: TaskReply | Failure) => {
    waiting.get(number)?.(reply)
    waiting.delete(number)
    // Whoever lets it end waits for that.
    if (waiting.size === 0 && !ended) hold(false)
  }
  const abandon = (why: string) => {
    ended = true
    const failure = new Failure('interrupted', `cannot go on with ${program}: ${why}`)
    for (const number of waiting.keys()) settle(number, failure)
  }
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (unread + chunk).split('\n')
    unread = lines.pop() ?? ''
    for (const line of lines) {
      const [, number, errno, said = ''] = /^(\d+) (\d+) (.*)$/.exec(line) ?? []
      settle(Number(number), { errno: Number(errno), said })
    }
  })
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    complaint = (complaint + chunk).slice(-1000)
  })
  // A broken pipe says less than the end of the program that broke it, which follows.
  child.stdin?.on('error', () => (ended = true))
  child.on('error', (error) => abandon(error.message))
  child.on('close', (code, signal) =>
    abandon(complaint.trim() || `it ended with ${signal ?? `exit ${code}`}`),
  )
  hold(false)

  return {
    pid: child.pid,
    isUsable: () => !ended,
    ask: async (words: readonly string[], timeoutMs: number): Promise<TaskReply> => {
      const number = ++last
      const request = frame(number, words)
      const { promise, resolve } = Promise.withResolvers<TaskReply | Failure>()
      const late = new Failure(
        'timeout',
        `cannot wait longer for "${words[0]}": no reply within ${timeoutMs} ms`,
      )
      const patience = setTimeout(() => settle(number, late), patienceMs(timeoutMs))
      waiting.set(number, resolve)
      hold(true)
      child.stdin?.write(request)
      const reply = await promise
      clearTimeout(patience)
      if (reply instanceof Failure) throw reply
      return reply
    },
    end: async (): Promise<void> => {
      ended = true
      hold(true)
      child.stdin?.end()
      await closed
    },
  }
}

/**
 * A native program that does tasks beside this one, several at a time: a task costs a thread of it instead of a
 * process that Node starts. Started when first used, and anew after it died.
 */
export const createCoprocess = (program: string, args: () => readonly string[] = () => []) => {
  let current: ReturnType<typeof run> | undefined
  const usable = () => (current = current?.isUsable() ? current : run(program, args()))
  return {
    /** Starts it ahead of need. Throws `Failure` (`host_unfit`) when it is not built. */
    start: (): void => void usable(),
    /** Of the one that runs; starts it when none does. */
    pid: (): number | undefined => usable().pid,
    /** Throws `Failure` (`interrupted`, `timeout`) when it dies or does not answer: the task may be done or not. */
    ask: (words: readonly string[], timeoutMs = replyWithinMs): Promise<TaskReply> =>
      usable().ask(words, timeoutMs),
    /** Lets it end; the next use starts another. */
    end: async (): Promise<void> => {
      const ending = current
      current = undefined
      await ending?.end()
    },
  }
}

export type Coprocess = ReturnType<typeof createCoprocess>

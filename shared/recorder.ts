import { readFileSync, writeFileSync } from 'node:fs'
import { execa } from 'execa'
import { Failure, reasonOf } from './failure.ts'
import { patienceMs } from './patience.ts'

/** One thing that was done to the host for a container, as it stands in the container's record. */
export interface TranscriptEntry {
  /** `command`: a program was run; `write`: a kernel file was written; `call`: a system call was made. */
  kind: 'command' | 'write' | 'call'
  /** The command line, or the shell line that would have the same effect. */
  equivalent: string
  durationMs: number
  /** Why it failed; absent when it succeeded. */
  error?: string
  /** Done before it was asked for, so that its time is not the step's. */
  ahead?: true
}

export interface Recorder {
  readonly entries: readonly TranscriptEntry[]
  /** Runs a system program without a shell and answers its standard output. Throws `Failure` with its standard error. */
  run(file: string, args: readonly string[], options?: RunOptions): Promise<string>
  /** Writes a kernel file and, with `verify`, reads it back and compares. Throws `Failure` (`limit_refused`). */
  write(path: string, value: string, options?: { verify?: (readBack: string) => boolean }): Promise<void>
  /** Times and records anything else under the command that would do the same. */
  call<T>(equivalent: string, act: () => Promise<T> | T): Promise<T>
  /** Takes over what another program has done and timed itself. */
  append(done: readonly TranscriptEntry[]): void
}

export interface RunOptions {
  input?: string
  /** Milliseconds until the program is killed. */
  timeoutMs?: number
  /** Exit codes that are not failures. */
  allow?: readonly number[]
}

/** Only the system's own directories: npm puts `node_modules/.bin`, which has an `nft` of its own, first on PATH. */
export const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** A command line as a person would type it. */
export const shellLine = (words: readonly string[]): string =>
  words
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`))
    .join(' ')

const noSpace = /No space left on device|Disk quota exceeded/i

/** Runs a system program without a shell and answers its standard output. Throws `Failure` with its standard error. */
export const run = async (
  file: string,
  args: readonly string[],
  { input, timeoutMs = 60_000, allow = [] }: RunOptions = {},
) => {
  const result = await execa(file, args, {
    input,
    stdin: input === undefined ? 'ignore' : undefined,
    timeout: patienceMs(timeoutMs),
    reject: false,
    env: { PATH: systemPath, LC_ALL: 'C' },
    extendEnv: false,
    preferLocal: false,
  })
  if (!result.failed || (result.exitCode !== undefined && allow.includes(result.exitCode)))
    return result.stdout
  const said = (result.stderr || result.originalMessage || result.shortMessage || '').trim()
  const code = result.timedOut ? 'timeout' : noSpace.test(said) ? 'no_space' : 'system'
  throw new Failure(
    code,
    `${shellLine([file, ...args])}: ${said || `exit ${result.exitCode ?? result.signal}`}`,
    {
      details: { exitCode: result.exitCode ?? null },
    },
  )
}

/** A fresh recorder for one request. */
export const createRecorder = (): Recorder => {
  const entries: TranscriptEntry[] = []

  const timed = async <T>(
    kind: TranscriptEntry['kind'],
    equivalent: string,
    act: () => Promise<T> | T,
  ): Promise<T> => {
    const start = performance.now()
    const entry: TranscriptEntry = { kind, equivalent, durationMs: 0 }
    entries.push(entry)
    try {
      return await act()
    } catch (error) {
      entry.error = reasonOf(error)
      throw error
    } finally {
      entry.durationMs = Math.round((performance.now() - start) * 1000) / 1000
    }
  }

  // Synchronous: a kernel file answers in microseconds, the thread pool takes ten times as long.
  const verified = (path: string, value: string, verify: ((readBack: string) => boolean) | undefined) => {
    try {
      writeFileSync(path, value)
    } catch (error) {
      throw new Failure(
        'limit_refused',
        `cannot write "${value}" to ${path}: ${reasonOf(error).replace(/, write$/, '')}`,
        {
          cause: error,
        },
      )
    }
    if (!verify) return
    const readBack = readFileSync(path, 'utf8').trim()
    if (!verify(readBack))
      throw new Failure('limit_refused', `the kernel keeps "${readBack}" in ${path} instead of "${value}"`)
  }

  return {
    entries,
    run: (file, args, options) =>
      timed('command', shellLine([file, ...args]), () => run(file, args, options)),
    write: (path, value, { verify } = {}) =>
      timed('write', `echo ${shellLine([value])} > ${shellLine([path])}`, () =>
        verified(path, value, verify),
      ),
    call: (equivalent, act) => timed('call', equivalent, act),
    append: (done) => void entries.push(...done),
  }
}

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Seccomp, SeccompProfile } from '../../../shared/contracts/seccomp.ts'
import { Failure, reasonOf } from '../../../shared/failure.ts'
import type { Recorder } from '../../../shared/recorder.ts'
import { circumstancesOf, rulesOf } from './rules.ts'

const compiler = fileURLToPath(new URL('../native/dolly-seccomp', import.meta.url))
const defaultProfile = fileURLToPath(new URL('default-profile.json', import.meta.url))
/** Of some ten kilobytes each. */
const mostFilters = 256

/**
 * Compiled filters, kept on disk by what they were compiled from: a process is started for a profile and a
 * set of capabilities that this host has never seen, never for a container.
 */
export const createFilters = (directory: string) => {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const usual = SeccompProfile.parse(JSON.parse(readFileSync(defaultProfile, 'utf8')))
  const known = new Map<string, string>()
  const compiling = new Map<string, Promise<void>>()

  const compile = async (record: Recorder, rules: string, file: string): Promise<void> => {
    const draft = `${file}.${process.pid}`
    try {
      await record.run(compiler, [draft], { input: rules })
      renameSync(draft, file)
    } catch (error) {
      rmSync(draft, { force: true })
      throw new Failure('invalid_message', `cannot compile the seccomp profile: ${reasonOf(error)}`, {
        cause: error,
      })
    }
  }

  /** Containers that come at once wait for one compilation. */
  const compileOnce = (record: Recorder, rules: string, file: string): Promise<void> => {
    const underWay = compiling.get(file)
    if (underWay) return underWay
    const done = compile(record, rules, file).finally(() => compiling.delete(file))
    compiling.set(file, done)
    return done
  }

  const forgetOldest = (): void => {
    const files = readdirSync(directory).map((name) => join(directory, name))
    if (files.length <= mostFilters) return
    const byAge = files
      .map((file) => ({ file, age: statSync(file).mtimeMs }))
      .toSorted((a, b) => a.age - b.age)
    for (const { file } of byAge.slice(0, files.length - mostFilters)) rmSync(file, { force: true })
  }

  return {
    /** The compiled filter's file; undefined when every call is allowed. Throws `Failure` (`invalid_message`). */
    fileOf: async (
      record: Recorder,
      seccomp: Seccomp,
      capabilities: readonly string[],
    ): Promise<string | undefined> => {
      if (seccomp === 'unconfined') return undefined
      const key = JSON.stringify([seccomp, capabilities])
      const before = known.get(key)
      if (before !== undefined && existsSync(before)) return before
      const rules = rulesOf(seccomp === 'default' ? usual : seccomp, circumstancesOf(capabilities))
      const file = join(directory, `${createHash('sha256').update(rules).digest('hex')}.bpf`)
      if (!existsSync(file)) {
        await compileOnce(record, rules, file)
        forgetOldest()
      }
      if (known.size >= mostFilters) known.clear()
      known.set(key, file)
      return file
    },
  }
}

export type Filters = ReturnType<typeof createFilters>

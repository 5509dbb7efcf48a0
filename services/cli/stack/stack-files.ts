import { renameSync, writeFileSync } from 'node:fs'
import { readFile, unlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { z } from 'zod'
import type { Config } from '../../../shared/config.ts'
import { Failure, absentIsSuccess, errnoOf } from '../../../shared/failure.ts'
import { shortHash } from '../../../shared/names.ts'
import { type ProcessIdentity, identify, isAlive } from './process-table.ts'

/** What `<root>/stack.json` tells everyone on the machine: where the stack's parts are; no secrets. */
export const StackInfo = z.object({
  node: z.string(),
  root: z.string(),
  bridge: z.string(),
  url: z.string(),
  project: z.string(),
  supervisor: z.number().int(),
  pids: z.record(z.string(), z.number().int()),
})
export type StackInfo = z.infer<typeof StackInfo>

const PidFile = z.object({ pid: z.number().int(), startTicks: z.string() })

const stackFile = ({ root }: Config) => join(root, 'stack.json')
const pidFile = ({ root }: Config) => join(root, 'supervisor.pid')

/** At once: of two that are written beside each other one would be renamed while the other is still written to it. */
const replaceFile = (file: string, value: object): void => {
  writeFileSync(`${file}.new`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o644 })
  renameSync(`${file}.new`, file)
}

const readJson = async <S extends z.ZodType>(file: string, schema: S): Promise<z.output<S> | undefined> => {
  try {
    return schema.safeParse(JSON.parse(await readFile(file, 'utf8'))).data
  } catch (error) {
    // Half a file is what a full disk leaves: nothing that can be known, as when there is none.
    if (errnoOf(error) === 'ENOENT' || error instanceof SyntaxError) return undefined
    throw error
  }
}

export const writeStackInfo = (config: Config, info: StackInfo): void => replaceFile(stackFile(config), info)

/** Where the parts of a running stack are; undefined when it does not run. */
export const readStackInfo = async (config: Config): Promise<StackInfo | undefined> =>
  (await runningSupervisor(config)) ? readJson(stackFile(config), StackInfo) : undefined

/** The supervisor of this root if it is alive; a pid file whose process has gone is stale. */
export const runningSupervisor = async (config: Config): Promise<ProcessIdentity | undefined> => {
  const written = await readJson(pidFile(config), PidFile)
  return written && (await isAlive(written)) ? written : undefined
}

/**
 * Gives this process alone a part of the root until it ends or releases; undefined when another has it. The lock
 * is a socket in the abstract namespace: the kernel gives it to one process only and takes it back from a dead one.
 */
export const lockRoot = async ({ root }: Config, part: string): Promise<(() => void) | undefined> => {
  const lock = createServer()
  const { promise: locked, resolve, reject } = Promise.withResolvers<void>()
  lock.once('error', reject)
  lock.listen(`\0dolly-${part}-${shortHash(root, 26)}`, resolve)
  try {
    await locked
  } catch (error) {
    if (errnoOf(error) !== 'EADDRINUSE') throw error
    return undefined
  }
  lock.unref()
  return () => void lock.close()
}

/** Makes this process the one supervisor of the root until it ends or releases. Throws `Failure` (`conflict`). */
export const lockStack = async (config: Config): Promise<{ release: () => Promise<void> }> => {
  const release = await lockRoot(config, 'supervisor')
  if (!release) {
    const holder = await runningSupervisor(config)
    const who = holder ? `a supervisor runs as process ${holder.pid}` : 'another program holds the lock'
    throw new Failure('conflict', `cannot start the stack of ${config.root}: ${who}; "dolly down" stops it`)
  }
  const own = await identify(process.pid)
  replaceFile(pidFile(config), own ?? { pid: process.pid, startTicks: '' })
  return {
    release: async () => {
      await absentIsSuccess(() => unlink(stackFile(config)))
      await absentIsSuccess(() => unlink(pidFile(config)))
      release()
    },
  }
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import { run, systemPath } from '../../shared/recorder.ts'
import { CannotRun } from './launcher.ts'

const environment = { PATH: systemPath, LC_ALL: 'C', HOME: '/root' }

/**
 * Runs a command line as a shell would and answers how long it took, from its start to its end. Its
 * output goes nowhere: a container keeps such a pipe open. Throws when it fails.
 */
export const timed = async (
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = environment,
): Promise<number> => {
  const start = performance.now()
  const child = spawn(file, args, { stdio: 'ignore', env })
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  const duration = performance.now() - start
  if (code !== 0) throw new Error(`${[file, ...args].join(' ')}: ${signal ?? `exit ${code}`}`)
  return duration
}

const findOnPath = async (program: string): Promise<string | undefined> => {
  for (const directory of systemPath.split(':')) {
    const file = join(directory, program)
    const found = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return file
  }
  return undefined
}

/** The path of a peer's program, installed from the distribution when it is missing. Throws `CannotRun`. */
export const peerProgram = async (program: string, packages: readonly string[]): Promise<string> => {
  const found = await findOnPath(program)
  if (found) return found
  process.stderr.write(`installing ${packages.join(' ')}\n`)
  const install = ['install', '--yes', '--no-install-recommends', ...packages]
  await run('apt-get', install, { timeoutMs: 300_000 }).catch((error: unknown) => {
    throw new CannotRun(`${packages.join(', ')} cannot be installed: ${String(error).slice(0, 200)}`)
  })
  const installed = await findOnPath(program)
  if (installed) return installed
  throw new CannotRun(`${packages.join(', ')} brings no ${program}`)
}

/** The last word of a program's first line about its version. */
export const versionOf = async (program: string): Promise<string> =>
  /\d+\.\d+[\w.+~-]*/.exec(await run(program, ['--version']))?.[0] ?? 'unknown'

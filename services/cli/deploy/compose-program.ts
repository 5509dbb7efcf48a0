import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { execa } from 'execa'
import { Failure } from '../../../shared/failure.ts'
import { projectDirectory } from '../stack/project.ts'

/** Where Compose finds Dolly's file, and an operator's compose.override.yaml beside it. */
const directory = join(projectDirectory, 'deploy')
/** The first that knows `required: false` of a dependency. */
const leastCompose = [2, 20] as const
/** The first that takes `cgroup: host`. */
const leastEngine = [20, 10] as const

/** Ways to call Compose 2: as a plugin of Docker's command line, or alone. */
const callings = [['docker', 'compose'], ['docker-compose']] as const

const isAtLeast = (version: string, least: readonly [number, number]): boolean => {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number)
  return major > least[0] || (major === least[0] && minor >= least[1])
}

const said = async (words: readonly string[]): Promise<string | undefined> => {
  const [file = '', ...args] = words
  const { stdout, failed } = await execa(file, args, { reject: false, timeout: 20_000 })
  return failed ? undefined : stdout.trim()
}

/** How Compose is called here. Throws `Failure` (`host_unfit`) that says what is there instead. */
export const findCompose = async (): Promise<{ words: readonly string[]; version: string }> => {
  const unfit: string[] = []
  for (const words of callings) {
    const version = await said([...words, 'version', '--short'])
    if (version === undefined) continue
    if (isAtLeast(version, leastCompose)) return { words, version }
    unfit.push(`"${words.join(' ')}" is ${version}`)
  }
  const there = unfit.join(', ') || 'there is none'
  throw new Failure(
    'host_unfit',
    `cannot use Docker Compose: ${there}; install version ${leastCompose.join('.')} or newer`,
  )
}

/** The version of the Docker engine that answers. Throws `Failure` (`host_unfit`). */
export const engineVersion = async (): Promise<string> => {
  const result = await execa('docker', ['version', '--format', '{{.Server.Version}}'], {
    reject: false,
    timeout: 20_000,
  })
  const version = result.stdout?.trim() ?? ''
  if (!result.failed && isAtLeast(version, leastEngine)) return version
  const reason =
    result.code === 'ENOENT'
      ? 'there is no program "docker"'
      : result.failed
        ? result.stderr.trim().split('\n').at(-1)
        : `it is ${version}`
  throw new Failure(
    'host_unfit',
    `cannot use Docker: ${reason}; wanted is an engine of ${leastEngine.join('.')} or newer`,
  )
}

/** Parts of Dolly's file: all of one host, who lets others join it, or the host services on a bus elsewhere. */
export const profiles = ['single', 'fleet', 'node'] as const
export type Profile = (typeof profiles)[number]

/**
 * Runs a verb of Compose on these parts of Dolly's file; what it says goes where this program's words go. Throws
 * `Failure` (`system`).
 */
export const compose = async (
  words: readonly string[],
  { parts, verb, env }: { parts: readonly Profile[]; verb: readonly string[]; env: NodeJS.ProcessEnv },
): Promise<void> => {
  const [file = '', ...args] = [...words, ...parts.flatMap((part) => ['--profile', part]), ...verb]
  const child = spawn(file, args, {
    cwd: directory,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  if (code === 0) return
  throw new Failure(
    'system',
    `cannot ${verb[0]} by Compose: it ended with ${signal ?? `exit code ${code}`}, see above`,
  )
}

import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure, reasonOf } from '../../../shared/failure.ts'
import { run, systemPath } from '../../../shared/recorder.ts'
import { projectDirectory } from './project.ts'

const wanted = '2.12'

/** Where a NATS server may be: `make setup` unpacks one under the project, else PATH. */
export const natsServerCandidates = (searchPath = `${process.env['PATH'] ?? ''}:${systemPath}`): string[] => [
  ...new Set([
    join(projectDirectory, '.cache/nats-server/nats-server'),
    ...searchPath
      .split(':')
      .filter(Boolean)
      .map((directory) => join(directory, 'nats-server')),
  ]),
]

const isExecutable = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  )

const versionOf = async (path: string): Promise<string> => {
  try {
    const said = await run(path, ['--version'], { timeoutMs: 5000 })
    return /v(\d+\.\d+\.\d+)/.exec(said)?.[1] ?? `no version ("${said.slice(0, 60)}")`
  } catch (error) {
    return `not runnable (${reasonOf(error)})`
  }
}

const isNewEnough = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 2 || (major === 2 && minor >= 12)
}

/** The first NATS server that is new enough. Throws `Failure` (`host_unfit`) that says what is there instead. */
export const findNatsServer = async (
  candidates: readonly string[] = natsServerCandidates(),
): Promise<{ path: string; version: string }> => {
  const unfit: string[] = []
  for (const path of candidates) {
    if (!(await isExecutable(path))) continue
    const version = await versionOf(path)
    if (isNewEnough(version)) return { path, version }
    unfit.push(`${path} is ${version}`)
  }
  const there = unfit.length > 0 ? unfit.join(', ') : 'there is none'
  throw new Failure(
    'host_unfit',
    `cannot use a NATS server: ${there}; Dolly needs ${wanted} or newer, which "make setup" gets`,
  )
}

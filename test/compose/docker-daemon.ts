import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { execa } from 'execa'
import { projectDirectory } from '../../services/cli/stack/project.ts'
import { readMountTable } from '../../shared/mount-table.ts'
import { run } from '../../shared/recorder.ts'
import { removeCgroups } from '../bench/cgroup-leftovers.ts'
import { eventually } from '../helpers/stack.ts'

// No bridge, no rules: all that is deployed is on the host's network.
const ownNothing = [
  '--bridge=none',
  '--iptables=false',
  '--ip6tables=false',
  '--ip-forward=false',
  '--ip-masq=false',
]

/** Standard output of a program that finds Docker by this process's environment. Throws with what it says. */
export const docker = async (...args: string[]): Promise<string> =>
  (await execa('docker', args, { timeout: 120_000 })).stdout.trim()

const isReady = async (): Promise<boolean> => !(await execa('docker', ['info'], { reject: false })).failed

/** Compose and Buildx for the Docker command line of this process and of what it starts. */
const configure = async (directory: string): Promise<void> => {
  const plugins = join(directory, 'config/cli-plugins')
  await mkdir(plugins, { recursive: true })
  for (const plugin of ['docker-compose', 'docker-buildx'])
    await symlink(join(projectDirectory, '.cache/docker-plugins', plugin), join(plugins, plugin))
  process.env['DOCKER_CONFIG'] = join(directory, 'config')
  process.env['DOCKER_HOST'] = `unix://${join(directory, 'docker.sock')}`
}

/**
 * A daemon with data, a socket and cgroups of its own, to which this process's environment leads from then on;
 * disposing removes all of it. Throws with its last words where it cannot run.
 */
export const startDocker = async () => {
  const directory = await mkdtemp(join(tmpdir(), 'dolly-compose-'))
  await configure(directory)
  const roots = ['data', 'exec'].flatMap((kind) => [`--${kind}-root`, join(directory, kind)])
  const parent = basename(directory)
  const daemon = spawn(
    'dockerd',
    [
      ...roots,
      ...ownNothing,
      '--host',
      process.env['DOCKER_HOST'] ?? '',
      '--pidfile',
      join(directory, 'pid'),
      '--cgroup-parent',
      parent,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let said = ''
  daemon.stderr.on('data', (chunk) => (said = `${said}${chunk}`.slice(-2000)))
  const ended = once(daemon, 'exit')
  const stop = async () => {
    daemon.kill('SIGTERM')
    await ended
    await removeCgroups(parent)
    // The daemon keeps its own network namespace mounted, for containers on the host's network.
    for (const { mountPoint } of (await readMountTable()).toReversed())
      if (mountPoint.startsWith(`${directory}/`)) await run('umount', [mountPoint])
    await rm(directory, { recursive: true, force: true })
  }
  try {
    await eventually(
      'dockerd answers',
      () => {
        if (daemon.exitCode === null) return isReady()
        throw new Error(`dockerd cannot run here: ${said}`)
      },
      60_000,
    )
  } catch (error) {
    await stop()
    throw error
  }
  return { directory, [Symbol.asyncDispose]: stop }
}

/** Docker refuses a capability that the root of a machine lacks, as one that is virtual itself may. */
export const overrideFor = async (directory: string, capabilities: readonly string[]): Promise<string> => {
  const file = join(directory, 'override.yaml')
  await writeFile(file, `services:\n  namespace:\n    cap_add: !override [${capabilities.join(', ')}]\n`)
  return file
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { run } from '../../shared/recorder.ts'
import { eventually } from '../helpers/stack.ts'
import { removeCgroups } from './cgroup-leftovers.ts'
import { peerProgram, timed, versionOf } from './commands.ts'
import { CannotRun, type Launcher, limits } from './launcher.ts'
import { privateNamespaces } from './private-namespaces.ts'

const readyWithinMs = 30_000

/** A daemon of its own with its own data, bridge and firewall, stopped and removed at the end. */
const startDaemon = async (dockerd: string, enter: readonly string[]) => {
  const directory = await mkdtemp(join(tmpdir(), 'dolly-bench-docker-'))
  const [file = dockerd, ...inside] = enter
  const host = `unix://${join(directory, 'docker.sock')}`
  const parent = basename(directory)
  const directories = ['data', 'exec'].flatMap((kind) => [`--${kind}-root`, join(directory, kind)])
  const options = ['--host', host, '--pidfile', join(directory, 'pid'), '--cgroup-parent', parent]
  const daemon = spawn(file, [...inside, dockerd, ...directories, ...options], { stdio: 'ignore' })
  const ended = once(daemon, 'exit')
  const answers = () =>
    run('docker', ['--host', host, 'info'], { timeoutMs: 5000 }).then(
      () => true,
      () => false,
    )
  const stop = async () => {
    daemon.kill('SIGTERM')
    await ended
    await removeCgroups(parent)
    await rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  }
  try {
    await eventually(
      'dockerd answers',
      async () => {
        if (daemon.exitCode !== null) throw new CannotRun(`dockerd ended with ${daemon.exitCode}`)
        return answers()
      },
      readyWithinMs,
    )
  } catch (error) {
    await stop()
    throw error
  }
  return { host, stop }
}

/** Docker with its own daemon, and the image under the name `bench`. */
export const docker = async (imageTar: string): Promise<Launcher> => {
  const program = await peerProgram('docker', ['docker.io'])
  const dockerd = await peerProgram('dockerd', ['docker.io'])
  await using stack = new AsyncDisposableStack()
  const network = stack.use(await privateNamespaces({ network: true }))
  const daemon = await startDaemon(dockerd, network.enter)
  stack.defer(() => daemon.stop())
  const at = ['--host', daemon.host]
  await run(program, [...at, 'import', imageTar, 'bench'])
  const wanted = ['--memory', String(limits.memoryBytes), '--pids-limit', String(limits.pids)]
  const all = stack.move()
  return {
    name: 'docker',
    version: await versionOf(program),
    note: 'docker run -d, docker rm -f; bridge network, limits, overlay',
    create: (id) => timed(program, [...at, 'run', '-d', '--name', id, ...wanted, 'bench', 'sleep', '1000']),
    exec: (id) => timed(program, [...at, 'exec', id, 'true']),
    runOnce: () => timed(program, [...at, 'run', '--rm', ...wanted, 'bench', 'true']),
    remove: (id) => timed(program, [...at, 'rm', '-f', id]),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

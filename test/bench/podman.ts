import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../shared/recorder.ts'
import { removeCgroups } from './cgroup-leftovers.ts'
import { peerProgram, timed, versionOf } from './commands.ts'
import { CannotRun, type Launcher, limits } from './launcher.ts'
import { privateNamespaces } from './private-namespaces.ts'

/** Podman with storage of its own, and the image under the name `bench`. */
export const podman = async (imageTar: string): Promise<Launcher> => {
  // Its network driver calls iptables, which its package does not ask for.
  const program = await peerProgram('podman', ['podman', 'netavark', 'iptables'])
  await using stack = new AsyncDisposableStack()
  const network = stack.use(await privateNamespaces({ network: true }))
  // Empty unless the host's own containers use it; then it stays.
  stack.defer(() => removeCgroups('libpod_parent'))
  const directory = await mkdtemp(join(tmpdir(), 'dolly-bench-podman-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const [file = program, ...inside] = network.enter
  const storage = ['root', 'runroot', 'tmpdir'].flatMap((kind) => [`--${kind}`, join(directory, kind)])
  const managers = ['--cgroup-manager', 'cgroupfs', '--events-backend', 'file']
  const podmanIn = [...inside, program, ...storage, ...managers]
  stack.defer(async () => {
    await run(file, [...podmanIn, 'rm', '--all', '--force', '--time', '0'], { timeoutMs: 60_000 })
    await run(file, [...podmanIn, 'system', 'reset', '--force'], { timeoutMs: 60_000 })
  })
  await run(file, [...podmanIn, 'import', imageTar, 'bench']).catch((error: unknown) => {
    throw new CannotRun(String(error).slice(0, 300))
  })
  const memory = ['--memory', String(limits.memoryBytes), '--pids-limit', String(limits.pids)]
  // Its defaults are more than the hard limits of some hosts, where it fails.
  const ulimits = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024']
  const wanted = [...memory, ...ulimits]
  const all = stack.move()
  return {
    name: 'podman',
    version: await versionOf(program),
    note: 'podman run -d, podman rm -f; bridge network, limits, overlay',
    create: (id) =>
      timed(file, [...podmanIn, 'run', '-d', '--name', id, ...wanted, 'bench', 'sleep', '1000']),
    exec: (id) => timed(file, [...podmanIn, 'exec', id, 'true']),
    runOnce: () => timed(file, [...podmanIn, 'run', '--rm', ...wanted, 'bench', 'true']),
    remove: (id) => timed(file, [...podmanIn, 'rm', '--force', '--time', '0', id]),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

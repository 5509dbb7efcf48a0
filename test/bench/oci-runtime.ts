import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../shared/recorder.ts'
import { peerProgram, timed, versionOf } from './commands.ts'
import { type Launcher, limits } from './launcher.ts'
import { privateNamespaces } from './private-namespaces.ts'

interface RuntimeSpec {
  process: { terminal: boolean; args: string[] }
  root: { path: string; readonly: boolean }
  linux: { resources: object }
}

/** A bare runtime: no image, no snapshot, an empty network namespace, no supervisor, no record. */
export const ociRuntime = async (name: 'crun' | 'runc', rootfs: string): Promise<Launcher> => {
  const program = await peerProgram(name, [name])
  await using stack = new AsyncDisposableStack()
  const bundle = await mkdtemp(join(tmpdir(), `dolly-bench-${name}-`))
  stack.defer(() => rm(bundle, { recursive: true, force: true }))
  const { enter } = stack.use(await privateNamespaces({ network: false }))
  const [entry = program, ...inside] = enter
  await run(program, ['spec', '--bundle', bundle])
  const file = join(bundle, 'config.json')
  const spec = JSON.parse(await readFile(file, 'utf8')) as RuntimeSpec
  Object.assign(spec.process, { terminal: false, args: ['sleep', '1000'] })
  Object.assign(spec.root, { path: rootfs, readonly: false })
  Object.assign(spec.linux.resources, {
    memory: { limit: limits.memoryBytes },
    pids: { limit: limits.pids },
  })
  await writeFile(file, JSON.stringify(spec))
  await mkdir(join(bundle, 'state'))
  const runtime = [...inside, program, '--root', join(bundle, 'state')]
  const all = stack.move()
  return {
    name,
    version: await versionOf(program),
    note: `${name} run -d, ${name} delete -f; limits; no network, no snapshot, no log`,
    create: (id) => timed(entry, [...runtime, 'run', '--detach', '--bundle', bundle, id]),
    exec: (id) => timed(entry, [...runtime, 'exec', id, 'true']),
    remove: (id) => timed(entry, [...runtime, 'delete', '--force', id]),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

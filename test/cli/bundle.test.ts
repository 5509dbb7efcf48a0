import { appendFile, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { type Socket, connect, createServer } from 'node:net'
import { join } from 'node:path'
import test from 'ava'
import { execa } from 'execa'
import { bundlePaths } from '../../services/cli/bundle/fresh.ts'
import { makeSnapshot, snapshotPaths } from '../../services/cli/bundle/snapshot.ts'
import { projectDirectory } from '../../services/cli/stack/project.ts'
import { startNatsServer } from '../helpers/stack.ts'
import { program } from './dolly.ts'

const cache = join(projectDirectory, '.cache')
const help = 'Launches containers'

/** A copy of the project as `make setup` leaves it; its Node is linked, so it is on the same file system. */
const projectCopy = async (change: (project: string) => Promise<void> = async () => {}) => {
  await mkdir(cache, { recursive: true })
  const project = await mkdtemp(join(cache, 'copy-'))
  for (const part of ['services', 'shared', 'package.json', 'package-lock.json'])
    await cp(join(projectDirectory, part), join(project, part), { recursive: true, preserveTimestamps: true })
  await symlink(join(projectDirectory, 'node_modules'), join(project, 'node_modules'))
  await change(project)
  const { stdout: said } = await execa(process.execPath, ['services/cli/bundle/make.ts'], { cwd: project })
  return {
    project,
    said,
    help: async () => (await execa(join(project, 'services/cli/dolly'), ['--help'])).stdout,
    [Symbol.asyncDispose]: () => rm(project, { recursive: true, force: true }),
  }
}

/** Such a copy whose bundle and snapshot tell in their help that it was them. */
const markedCopy = async () => {
  const copy = await projectCopy()
  const { bundle } = bundlePaths(copy.project)
  const text = await readFile(bundle, 'utf8')
  await writeFile(bundle, text.replace(help, 'Launches remembered containers'))
  await makeSnapshot(copy.project)
  await writeFile(bundle, text.replace(help, 'Launches bundled containers'))
  return copy
}

test('the snapshot runs until a source changes; then the sources run', async (t) => {
  await using copy = await markedCopy()
  t.regex(await copy.help(), /Launches remembered containers/)
  await appendFile(join(copy.project, 'shared/failure.ts'), '\n')
  t.regex(await copy.help(), /Launches containers/)
})

test('a snapshot of another processor, place or Node is not run, but the bundle', async (t) => {
  await using copy = await markedCopy()
  const { made, node } = snapshotPaths(copy.project)
  const [place, processor] = (await readFile(made, 'utf8')).split('\n')
  for (const other of [`${place}\n${processor},FFFF\n`, `${place}x\n${processor}\n`, `${place}\n`, '']) {
    await writeFile(made, other)
    t.regex(await copy.help(), /Launches bundled containers/, other)
  }
  await writeFile(made, `${place}\n${processor}\n`)
  t.regex(await copy.help(), /Launches remembered containers/)
  await rm(node)
  await writeFile(node, 'another')
  t.regex(await copy.help(), /Launches bundled containers/)
})

test('a bundle runs until a source changes, and one that cannot be judged is not run', async (t) => {
  await using copy = await markedCopy()
  await rm(snapshotPaths(copy.project).made)
  t.regex(await copy.help(), /Launches bundled containers/)
  await appendFile(join(copy.project, 'shared/failure.ts'), '\n')
  t.regex(await copy.help(), /Launches containers/)
  await writeFile(bundlePaths(copy.project).sources, '{"shared/fail')
  t.regex(await copy.help(), /Launches containers/)
})

test('what differs from process to process is in no snapshot', async (t) => {
  for (const [passing, name] of [
    ['process.env.HOME', 'env'],
    ['Date.now()', 'now'],
    ['process.cwd()', 'cwd'],
    ['Math.random()', 'random'],
  ]) {
    await using copy = await projectCopy((project) =>
      appendFile(join(project, 'shared/failure.ts'), `\nObject.assign(globalThis, { kept: ${passing} })\n`),
    )
    t.regex(copy.said, new RegExp(`no snapshot: Error: ${name} is read by a module`))
    t.regex(await copy.help(), /Launches containers/, 'the bundle runs')
  }
})

/** Passes on what clients say to the server, and keeps it. */
const listening = async (port: number) => {
  const said: string[] = []
  const open: Socket[] = []
  const relay = createServer((client) => {
    const server = connect(port, '127.0.0.1')
    open.push(client, server)
    client.on('data', (data) => void said.push(data.toString('latin1')))
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('error', () => to.destroy())
      from.pipe(to)
    }
  })
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve))
  const address = relay.address()
  return {
    said,
    url: `nats://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    [Symbol.dispose]: () => {
      for (const socket of open) socket.destroy()
      relay.close()
    },
  }
}

test('two processes of one snapshot wait for their answers under different names', async (t) => {
  await using server = await startNatsServer()
  using relay = await listening(Number(new URL(server.url).port))
  const env = {
    DOLLY_ROOT: server.config.root,
    DOLLY_NODE: server.config.node,
    DOLLY_NATS_URL: relay.url,
    DOLLY_NATS_ACCESS: join(server.config.names.nats, 'access.json'),
  }
  const [first, second] = await Promise.all([1, 2].map(() => execa(program, ['ps'], { env, reject: false })))
  for (const one of [first, second]) t.regex(one?.stderr ?? '', /nobody answers|no orchestrator|cannot ask/i)
  const inboxes = relay.said.join('').match(/_INBOX_\w+\.\w+(?=\.\*)/g) ?? []
  t.is(inboxes.length, 2, inboxes.join())
  t.not(inboxes[0], inboxes[1])
})

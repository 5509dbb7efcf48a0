import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { type Bus, connectBus } from '../../shared/bus.ts'
import { createLog } from '../../shared/log.ts'
import { subjects } from '../../shared/subjects.ts'
import { findNatsServer } from '../../services/cli/stack/nats-binary.ts'
import { natsFiles } from '../../services/cli/stack/nats-configuration.ts'
import { rotateBus } from '../../services/cli/stack/rotate-bus.ts'
import { startNatsServer as start } from '../../services/cli/stack/start-nats-server.ts'
import { eventually, startNatsServer } from '../helpers/stack.ts'

const log = createLog({}, 'silent')

test('the server keeps every acknowledged event on disk and its secrets to root', async (t) => {
  await using server = await startNatsServer()
  const files = natsFiles(server.config)
  const configuration = JSON.parse(await readFile(files.configuration, 'utf8'))
  t.is(configuration.jetstream.sync_interval, 'always')
  t.true(configuration.listen.startsWith('127.0.0.1:'))
  for (const file of [files.access, files.configuration]) t.is((await stat(file)).mode & 0o777, 0o600, file)
})

test('a restart keeps the port and the passwords', async (t) => {
  await using server = await startNatsServer()
  const before = await readFile(natsFiles(server.config).access, 'utf8')
  await server.stop()
  await server.start()
  t.is(await readFile(natsFiles(server.config).access, 'utf8'), before)
})

test('a port that another program has taken is exchanged for a free one', async (t) => {
  await using server = await startNatsServer()
  const port = Number(new URL(server.url).port)
  await server.stop()
  const squatter = createServer().listen(port, '127.0.0.1')
  t.teardown(() => squatter.close())
  await server.start()
  t.not(JSON.parse(await readFile(natsFiles(server.config).access, 'utf8')).url, server.url)
  await using bus = await server.bus()
  t.true(JSON.parse(await readFile(natsFiles(server.config).access, 'utf8')).url.endsWith(bus.info().url))
})

test('a start that fails for another reason leaves the port as it is', async (t) => {
  await using server = await startNatsServer()
  const { config } = server
  const before = await readFile(natsFiles(config).access, 'utf8')
  await server.stop()
  const broken = join(config.root, 'broken.pem')
  await writeFile(broken, 'no certificate')
  const natsTls = { ...config.natsTls, ca: broken, serverCert: broken, serverKey: broken }
  await t.throwsAsync(start({ ...config, natsTls }, { log }))
  t.is(await readFile(natsFiles(config).access, 'utf8'), before)
  await server.start()
  t.is(await readFile(natsFiles(config).access, 'utf8'), before)
})

test('a port that others know is not exchanged', async (t) => {
  await using server = await startNatsServer({ DOLLY_NATS_LISTEN: '127.0.0.2' })
  const before = await readFile(natsFiles(server.config).access, 'utf8')
  await server.stop()
  const squatter = createServer().listen(Number(new URL(server.url).port), '127.0.0.2')
  t.teardown(() => squatter.close())
  await t.throwsAsync(start(server.config, { log }), {
    code: 'conflict',
    message: /port \d+ of .* is in use/,
  })
  t.is(await readFile(natsFiles(server.config).access, 'utf8'), before)
})

test('the users of a bus elsewhere are not exchanged here', async (t) => {
  await using server = await startNatsServer()
  const { access } = natsFiles(server.config)
  const before = await readFile(access, 'utf8')
  const joined = { node: 'b', url: server.url, subnet: '10.64.0.0/20', ca: undefined }
  await t.throwsAsync(rotateBus({ ...server.config, joined }, log), { code: 'conflict' })
  t.is(await readFile(access, 'utf8'), before)
})

test('a client commands and reads, and may neither act on a host nor forge an event', async (t) => {
  await using server = await startNatsServer()
  await using orchestrator = await server.bus('orchestrator')
  await using client = await server.bus('client')

  t.is((await client.publishCommand(subjects.create, { id: 'a' })).stream, 'COMMANDS')
  const event = { kind: 'container', id: 'a', type: 'container.running', data: {}, messageId: 'a:1' }
  await orchestrator.append(event)
  t.is((await client.journal('container', 'a')).length, 1)

  const { config } = server
  await t.throwsAsync(client.request(subjects.host(config.node, 'storage', 'do'), {}, { timeoutMs: 500 }), {
    message: /host\..*permission/i,
  })
  await t.throwsAsync(client.append({ ...event, messageId: 'a:2' }), { message: /event\.container\.a/ })
  t.is((await orchestrator.journal('container', 'a')).length, 1)
})

test('a service hears only requests to itself on its own node', async (t) => {
  await using server = await startNatsServer()
  const { node } = server.config
  await using orchestrator = await server.bus('orchestrator')
  await using storage = await server.bus('storage')
  await using network = await server.bus('network')
  const serve = (bus: Bus, subject: string) =>
    bus.serve({
      name: 'storage',
      description: '',
      metadata: {},
      endpoints: [
        { name: 'do', subject, handle: () => Promise.resolve({ output: subject, transcript: [] }) },
      ],
    })
  const own = subjects.host(node, 'storage', 'do')
  const foreign = subjects.host('elsewhere', 'storage', 'do')
  await serve(storage, own)
  await serve(network, foreign)
  await eventually('storage answers', () =>
    orchestrator.request(own, {}, { timeoutMs: 500 }).then(
      () => true,
      () => false,
    ),
  )
  await t.throwsAsync(orchestrator.request(foreign, {}, { timeoutMs: 500 }), { code: 'unavailable' })
})

test('nobody without credentials is let in', async (t) => {
  await using server = await startNatsServer()
  const config = { ...server.config, natsUrl: server.url, natsUser: 'client', natsPassword: 'guess' }
  await t.throwsAsync(connectBus(config, { role: 'client', log, patient: false }), { code: 'not_permitted' })
  await t.throwsAsync(
    connectBus(
      { ...server.config, natsUrl: server.url, root: '/nonexistent' },
      { role: 'client', log, patient: false },
    ),
    { code: 'not_permitted' },
  )
})

test('a server that is too old, broken or absent is refused in one line that says what would be right', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'dolly-test-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const program = async (name: string, script: string) => {
    await writeFile(join(directory, name), `#!/bin/sh\n${script}\n`)
    await chmod(join(directory, name), 0o755)
    return join(directory, name)
  }
  const old = await program('old', 'echo "nats-server: v2.9.10"')
  const broken = await program('broken', 'exit 3')
  const fit = await program('fit', 'echo "nats-server: v2.12.0"')

  await t.throwsAsync(findNatsServer([old, broken]), {
    code: 'host_unfit',
    message: /old is 2\.9\.10, .*broken is not runnable .*2\.12 or newer.*make setup/,
  })
  await t.throwsAsync(findNatsServer([join(directory, 'absent')]), {
    code: 'host_unfit',
    message: /there is none/,
  })
  t.deepEqual(await findNatsServer([old, fit]), { path: fit, version: '2.12.0' })
})

import { readFileSync, statSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { ulid } from 'ulid'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { Failure } from '../../shared/failure.ts'
import { type ContainerClient, containerClient, containerFor } from '../helpers/container-client.ts'
import { type Stack, startStack } from '../helpers/stack.ts'

let stack: Stack
let client: ContainerClient
let labs: string

test.before(async () => {
  // The root of a stack is nobody else's to enter, as a directory for writing has to be.
  const root = `/tmp/dolly-labs-${ulid()}`
  labs = join(root, 'labs')
  await mkdir(labs, { recursive: true, mode: 0o700 })
  stack = await startStack({ DOLLY_BIND_ALLOW: labs })
  client = await containerClient(stack.config)
})
test.after.always(async () => {
  await client?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
  await rm(join(labs, '..'), { recursive: true, force: true })
})

const sh = async (id: string, script: string) => client.exec(id, ['sh', '-c', script])
const remove = (name: string) => ask(client.bus, verbs.volumeRemove, { name })

test('two containers with other ids share a volume with the same ids, and it outlives them', async (t) => {
  const volumes = ['shared:/data']
  const [one, two] = [await containerFor(t, client, { volumes }), await containerFor(t, client, { volumes })]
  const map = (pid: number | undefined) => readFileSync(`/proc/${pid}/uid_map`, 'utf8')
  t.not(map(one.pid), map(two.pid))
  t.is((await sh(one.id, 'umask 022; echo hello > /data/file && chown 5:7 /data/file')).exitCode, 0)
  t.deepEqual(await sh(two.id, 'cat /data/file; stat -c %u:%g /data/file; echo more >> /data/file'), {
    exitCode: 0,
    output: 'hello\n5:7\n',
  })
  const file = join(stack.config.names.volume('shared'), 'file')
  t.is(statSync(file).uid, 5, 'unshifted on disk')
  const inUse = await t.throwsAsync(remove('shared'), { instanceOf: Failure })
  t.regex(inUse?.message ?? '', /^cannot remove volume shared: it is in use by container /)
  for (const { id } of [one, two]) await client.remove(id)
  t.is(readFileSync(file, 'utf8'), 'hello\nmore\n')
  t.deepEqual(await client.leaks(), [])
  const again = await containerFor(t, client, { volumes: ['shared:/data:ro'], userns_mode: 'host' })
  t.is((await sh(again.id, 'cat /data/file')).output, 'hello\nmore\n')
  t.regex((await sh(again.id, 'echo no > /data/file')).output, /Read-only file system/)
  await client.remove(again.id)
  await remove('shared')
  t.throws(() => statSync(file), { code: 'ENOENT' })
})

test('a new volume gets what the image has at its place, once', async (t) => {
  const { id } = await containerFor(t, client, {
    volumes: ['bin:/bin', { type: 'volume', source: 'bare', target: '/usr', volume: { nocopy: true } }],
  })
  t.regex((await sh(id, 'ls -l /bin/busybox /bin')).output, /busybox/)
  t.is((await sh(id, 'ls /usr | wc -l; rm -f /bin/vi')).output, '0\n')
  await client.remove(id)
  const other = await containerFor(t, client, { volumes: ['bin:/bin'] })
  t.regex((await sh(other.id, 'test -e /bin/vi; echo $?')).output, /^1$/m)
  await client.remove(other.id)
  for (const name of ['bin', 'bare']) await remove(name)
})

test('a volume of the lab, and one after a restart', async (t) => {
  const lab = await containerFor(t, client, { network_mode: 'lab', volumes: ['kept:/data'] })
  t.is((await sh(lab.id, 'echo 1 > /data/n; stat -c %u /data/n')).output, '0\n')
  const other = await containerFor(t, client, {
    volumes: ['kept:/data'],
    command: ['sh', '-c', 'cat /data/n; echo 2 > /data/n'],
  })
  await client.exited(other.id)
  await ask(client.bus, verbs.containerStart, { container: other.id })
  for (const { id } of [lab, other]) await client.remove(id)
  await remove('kept')
})

test('a directory of the host only where the node allows it, and the log says so', async (t) => {
  await mkdir(join(labs, 'one'), { recursive: true })
  await writeFile(join(labs, 'one/file'), 'host\n')
  const made = await containerFor(t, client, {
    volumes: [`${labs}/one:/data`, `${labs}/one/file:/etc/motd:ro`],
  })
  t.is((await sh(made.id, 'cat /data/file /etc/motd; echo in > /data/new')).output, 'host\nhost\n')
  t.is(readFileSync(join(labs, 'one/new'), 'utf8'), 'in\n')
  const [running] = client.eventsOf(made.id, 'container.running')
  t.deepEqual(running?.data['binds'], [`${labs}/one`, `${labs}/one/file`])
  for (const source of ['/etc', `${labs}/../x`, `${labs}-x`]) {
    const refused = await client.tryCreate({ id: ulid(), image: 'busybox', volumes: [`${source}:/data`] })
    t.is(refused.type, 'container.failed')
    t.regex(String(refused.data['reason']), /this node allows .*\(DOLLY_BIND_ALLOW\)/)
  }
})

test('a volume outlives a create that failed, and nothing else does', async (t) => {
  const failed = await client.tryCreate({
    id: ulid(),
    image: 'busybox',
    command: ['nosuch'],
    volumes: ['left:/data'],
  })
  t.is(failed.type, 'container.failed')
  t.deepEqual(await client.leaks(), [])
  const { volumes } = await ask(client.bus, verbs.volumeList, {})
  t.deepEqual(volumes.find(({ name }) => name === 'left')?.containers, [])
  await remove('left')
})

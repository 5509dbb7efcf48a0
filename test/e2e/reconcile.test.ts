import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { ulid } from 'ulid'
import { containerClient, containerFor } from '../helpers/container-client.ts'
import { pidOf } from '../helpers/fault-processes.ts'
import { tracesOf } from '../helpers/fault-traces.ts'
import { nodeEvents } from '../helpers/node-events.ts'
import { run } from '../helpers/reboot.ts'
import { eventually, startStack } from '../helpers/stack.ts'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { objects } from '../../shared/contracts/operations.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { subjects } from '../../shared/subjects.ts'

let stack: Awaited<ReturnType<typeof startStack>>
let client: Awaited<ReturnType<typeof containerClient>>
let node: ReturnType<typeof nodeEvents>

test.before(async () => {
  stack = await startStack({ DOLLY_RECONCILE_MS: '300', DOLLY_ACK_WAIT_MS: '500' })
  client = await containerClient(stack.config)
  node = nodeEvents(stack.bus)
})
test.after.always(async () => {
  await node?.[Symbol.asyncDispose]()
  await client?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
})

const freeCgroup = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find(existsSync) ?? ''

/** One of each of a container's resources, made by hand under the stack's names. */
const leaveBehind = async (id: string, address: string): Promise<void> => {
  const { names } = stack.config
  await run('btrfs', 'subvolume', 'create', names.rootfs(id))
  writeFileSync(join(names.rootfs(id), 'file'), 'of a container')
  mkdirSync(join(freeCgroup, names.cgroup(id)))
  await run('ip', 'netns', 'add', names.netns(id))
  await run(
    'ip',
    'link',
    'add',
    names.veth(id),
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    names.netns(id),
  )
  await run('ip', 'link', 'set', names.veth(id), 'alias', names.netns(id))
  symlinkSync(id, join(names.networkState, 'addresses', address))
  mkdirSync(names.bundle(id))
}

/** The same while nobody reconciles, who would take half of it for all. */
const leaveAll = async (id: string, address: string): Promise<void> => {
  const orchestrator = await pidOf(stack.config, 'orchestrator')
  if (!orchestrator) throw new Error('no orchestrator runs')
  process.kill(orchestrator, 'SIGSTOP')
  try {
    // A listing that was asked for before is answered before; it would have a part.
    for (const { service, verb } of Object.values(objects))
      await stack.inside.request(subjects.host(stack.config.node, service, verb), {})
    await leaveBehind(id, address)
  } finally {
    process.kill(orchestrator, 'SIGCONT')
  }
}

test('an image that something else has attached too is told', async (t) => {
  const device = (await run('losetup', '--find', '--show', '--read-only', stack.config.names.image)).trim()
  t.teardown(() => run('losetup', '--detach', device))
  const told = () =>
    node.events.filter(({ type, data }) => type === 'node.degraded' && data['object'] === 'loop')
  await eventually('it is told', () => told().length > 0)
  t.true(String(told()[0]?.data['reason']).includes(device))
})

test('what a container that is gone has left is removed, and told', async (t) => {
  const { id } = await client.create({ command: ['true'] })
  await client.remove(id)
  await leaveAll(id, '10.255.255.1')
  await node.until('container.cleaned', id)
  await eventually('nothing is left', () => tracesOf(stack.config, id).length === 0)
  const kinds = node
    .about('container.cleaned', id)
    .flatMap(({ data }) => (data['objects'] as string[]).map((object) => object.split(' ')[0]))
  for (const kind of ['subvolume', 'cgroup', 'netns', 'bundle']) t.true(kinds.includes(kind), kind)
  t.is(node.about('container.unexplained', id).length, 0)
})

test('what belongs to an id that the log does not know is reported and kept until an operator has it removed', async (t) => {
  const id = ulid()
  t.teardown(async () => void (await ask(stack.bus, verbs.nodeClean, { container: id })))
  await leaveAll(id, '10.255.255.2')
  const told = await node.until('container.unexplained', id)
  t.is(told.data['ownership'], 'unknown')
  const before = tracesOf(stack.config, id)
  t.true(before.length >= 6, before.join())
  const rounds = node.events.length
  const { id: other } = await client.create({ command: ['true'] })
  await client.remove(other)
  mkdirSync(stack.config.names.bundle(other))
  await node.until('container.cleaned', other)
  t.true(node.events.length > rounds)
  t.deepEqual(tracesOf(stack.config, id), before, 'further rounds have not touched it')
  t.is(node.about('container.unexplained', id).length, 1, 'and told it once')
  const listed = (await client.leaks()).filter(({ container }) => container === id)
  t.true(
    ['subvolume', 'cgroup', 'netns', 'veth', 'address', 'bundle'].every((kind) =>
      listed.some((leak) => leak.kind === kind),
    ),
  )
  t.true(listed.every(({ ownership }) => ownership === 'unknown'))

  const { removed } = await ask(stack.bus, verbs.nodeClean, { container: id })
  t.true(removed.includes('storage'))
  t.deepEqual(tracesOf(stack.config, id), [])
  t.is((await node.until('container.cleaned', id)).data['container'], id)
})

test('a name that a container that is gone still holds is given free, and told', async (t) => {
  const { id } = await client.create({ command: ['true'], name: 'once.mine' })
  await client.remove(id)
  const names = await stack.inside.bucket('names')
  const mark = await names.get('once=mine')
  await names.put('once=mine', id, { previousSeq: mark?.revision ?? 0 })
  const told = await node.until('container.cleaned', id)
  t.true((told.data['objects'] as string[]).includes('name once.mine'))
  await containerFor(t, client, { name: 'once.mine' })
})

test('a name held by an id that the log does not know is kept until an operator has it removed', async (t) => {
  const id = ulid()
  const names = await stack.inside.bucket('names')
  await names.create('foreign', id)
  t.teardown(async () => void (await ask(stack.bus, verbs.nodeClean, { container: id })))
  t.is((await node.until('container.unexplained', id)).data['ownership'], 'unknown')
  t.is((await names.get('foreign'))?.string(), id)
  await ask(stack.bus, verbs.nodeClean, { container: id })
  t.not((await names.get('foreign'))?.operation, 'PUT')
})

test('a living container is not cleaned, whoever asks', async (t) => {
  const { id } = await containerFor(t, client)
  await t.throwsAsync(ask(stack.bus, verbs.nodeClean, { container: id }), { message: /delete it instead/ })
  t.is((await client.get(id)).status, 'running')
})

test('init killed together with its monitor: the exit is told as lost', async (t) => {
  const { id, pid = 0 } = await containerFor(t, client)
  const monitor = Number(await run('ps', '-o', 'ppid=', '-p', String(pid)))
  process.kill(monitor, 'SIGKILL')
  process.kill(pid, 'SIGKILL')
  const exited = await client.exited(id, 25_000)
  t.is(exited.data['lost'], true)
  t.is(exited.data['exitCode'], 255)
  t.is((await client.get(id)).status, 'stopped')
})

test('a container whose bundle was lost is told as ended, and starts again by name of its policy', async (t) => {
  const { id, pid = 0 } = await containerFor(t, client, { restart: 'always' })
  const monitor = Number(await run('ps', '-o', 'ppid=', '-p', String(pid)))
  process.kill(monitor, 'SIGSTOP')
  process.kill(pid, 'SIGKILL')
  rmSync(stack.config.names.bundle(id), { recursive: true })
  process.kill(monitor, 'SIGKILL')
  t.is((await client.exited(id)).data['lost'], true)
  await eventually('it runs again', async () => (await client.get(id)).status === 'running')
  t.not((await client.get(id)).pid, pid)
})

// Alone: whoever makes a container meanwhile has it mounted, too.
test.serial('an unmounted file system is mounted again, and told', async (t) => {
  const { id } = await containerFor(t, client)
  await run('umount', '--lazy', stack.config.names.cowfs)
  const repaired = () =>
    node.events.some(({ type, data }) => type === 'node.repaired' && data['object'] === 'mount')
  await eventually('the mount is repaired', repaired)
  t.is((await client.exec(id, ['true'])).exitCode, 0)
  const after = await containerFor(t, client)
  t.is(after.status, 'running')
})

test('a saga that nobody drives is finished', async (t) => {
  const id = ulid()
  const { id: model } = await containerFor(t, client)
  const { spec } = await client.get(model)
  const record = {
    kind: 'started',
    n: 1,
    owner: 'nobody',
    saga: 'create-container',
    version: 1,
    input: { ...spec, id, name: id },
    deadline: new Date(Date.now() + 60_000).toISOString(),
    transitions: [{ step: 'storage', status: 'doing' }],
  }
  const event = { kind: 'container', id, type: 'saga.started', messageId: `${id}:1`, data: { record } }
  await stack.inside.append(event, 0)
  await client.until('it runs', ({ subject, type }) => subject === id && type === 'container.running', 15_000)
  t.is((await client.get(id)).status, 'running')
  await client.remove(id)
  t.deepEqual(tracesOf(stack.config, id), [])
})

test('a saga of an unknown version is refused and told, and the fleet goes on', async (t) => {
  const id = ulid()
  const { spec } = await client.get((await containerFor(t, client)).id)
  const record = {
    kind: 'started',
    n: 1,
    owner: 'nobody',
    saga: 'create-container',
    version: 99,
    input: { ...spec, id, name: id },
    deadline: new Date(Date.now() + 60_000).toISOString(),
    transitions: [],
  }
  const event = { kind: 'container', id, type: 'saga.started', messageId: `${id}:1`, data: { record } }
  await stack.inside.append(event, 0)
  const refused = await node.until('saga.refused', id, 15_000)
  t.regex(String(refused.data['reason']), /saga create-container version 99/)
  t.deepEqual(tracesOf(stack.config, id), [])
  const { id: other } = await client.create({ command: ['true'] })
  await client.remove(other)
  // Its log is closed, so that the stack can be emptied.
  const append = { kind: 'container', id, type: 'container.abandoned', messageId: `${id}:2`, data: {} }
  await stack.inside.append(append)
  await eventually('it is listed no more', async () =>
    (await ask(stack.bus, verbs.sagaList, { all: true })).sagas.every((saga) => saga.id !== id),
  )
})

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readFileSync, writeFileSync } from 'node:fs'
import test from 'ava'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { containerClient } from '../helpers/container-client.ts'
import { tracesOf } from '../helpers/fault-traces.ts'
import { nodeEvents } from '../helpers/node-events.ts'
import { letGo, rebooted, restarted } from '../helpers/reboot.ts'
import { eventually, startStack } from '../helpers/stack.ts'

const environment = { DOLLY_RECONCILE_MS: '300', DOLLY_ACK_WAIT_MS: '500' }
const sleeping = { command: ['sleep', '1000'] }

const inodeOf = (pid: number | undefined): string =>
  readFileSync(`/proc/${pid}/stat`, 'latin1').split(' ')[21] ?? ''

test('the log is lost: running containers are adopted as they are, and nothing is destroyed', async (t) => {
  await using stack = await startStack(environment)
  t.teardown(() => letGo(stack))
  const { config } = stack
  const before = await containerClient(config)
  const bridged = await before.create({ ...sleeping, name: 'bridged', ports: undefined })
  const lab = await before.create({ ...sleeping, network_mode: 'lab' })
  const none = await before.create({ ...sleeping, network_mode: 'none' })
  const ended = await before.create({ command: ['sh', '-c', 'exit 7'] })
  const waiting = await before.create({ ...sleeping, start: false })
  await before.exited(ended.id)
  const all = [bridged, lab, none, ended, waiting]
  const traces = all.map(({ id }) => tracesOf(config, id))
  const born = inodeOf(bridged.pid)
  await before[Symbol.asyncDispose]()

  await restarted(stack, () => rm(join(config.names.nats, 'jetstream'), { recursive: true }))

  await using client = await containerClient(config)
  await using node = nodeEvents(stack.bus)
  for (const { id } of all) await node.until('container.adopted', id, 20_000)
  await eventually('all are listed', async () => {
    const { containers } = await ask(client.bus, verbs.containerList, { all: true })
    return containers.length === all.length
  })
  for (const { id, pid, status, name, address } of [bridged, lab, none, waiting]) {
    const now = await client.get(id)
    t.like(now, { pid, status, name }, `${id} is what it was`)
    t.is(now.address ?? null, address ?? null)
  }
  t.is(inodeOf(bridged.pid), born, 'the same process')
  t.deepEqual(
    all
      .map(({ id }) => tracesOf(config, id))
      .flat()
      .toSorted(),
    traces.flat().toSorted(),
    'nothing is destroyed',
  )
  t.is((await client.get(ended.id)).status, 'stopped')
  t.is((await client.get(ended.id)).exitCode, 7)
  t.is((await client.exec(bridged.id, ['hostname'])).exitCode, 0)
  const conflict = await client.tryCreate({ image: 'busybox', ...sleeping, name: 'bridged' })
  t.is(conflict.type, 'container.rejected', 'its name is taken again')
  t.deepEqual(await client.leaks(), [])
  for (const { id } of all) {
    await client.remove(id)
    t.deepEqual(tracesOf(config, id), [])
  }
})

test('after a reboot those with a restart policy come back, the rest are stopped as lost', async (t) => {
  await using stack = await startStack(environment)
  t.teardown(() => letGo(stack))
  const { config } = stack
  const before = await containerClient(config)
  const policies = ['always', 'unless-stopped', 'on-failure', 'no']
  const [always, unless, onFailure, plain] = await Promise.all(
    policies.map((restart) => before.create({ ...sleeping, restart })),
  )
  const halted = await before.create({ ...sleeping, restart: 'always' })
  await ask(before.bus, verbs.containerStop, { container: halted.id, timeoutMs: 0 })
  await before.exited(halted.id)
  if (!always || !unless || !onFailure || !plain) throw new Error('four were made')
  writeFileSync(join(config.names.rootfs(always.id), 'kept'), 'from before')
  writeFileSync(join(config.names.rootfs(plain.id), 'kept'), 'from before')
  await before[Symbol.asyncDispose]()

  await rebooted(stack)

  await using client = await containerClient(config)
  for (const { id, pid, address } of [always, unless, onFailure]) {
    await eventually(`${id} runs again`, async () => (await client.get(id)).status === 'running', 20_000)
    const now = await client.get(id)
    t.not(now.pid, pid)
    t.is(now.address, address)
    t.is(now.restarts, 1)
    t.true((await client.exec(id, ['ip', 'address', 'show', 'eth0'])).output.includes(String(address)))
  }
  t.is((await client.exec(always.id, ['cat', '/kept'])).output, 'from before')
  const { data } = await client.exited(plain.id)
  t.is(data['lost'], true)
  t.is((await client.get(plain.id)).status, 'stopped')
  t.is((await client.get(halted.id)).status, 'stopped', 'what a user stopped stays stopped')
  const started = await ask(client.bus, verbs.containerStart, { container: plain.id })
  t.is(started.status, 'running')
  t.is(started.address, plain.address)
  t.is((await client.exec(plain.id, ['cat', '/kept'])).output, 'from before')
  for (const { id } of [always, unless, onFailure, plain, halted]) {
    await client.remove(id)
    t.deepEqual(tracesOf(config, id), [])
  }
  t.deepEqual(await client.leaks(), [])
})

test('the list is made anew when its bucket is missing at start', async (t) => {
  await using stack = await startStack(environment)
  t.teardown(() => letGo(stack))
  const { config } = stack
  const before = await containerClient(config)
  const made = await Promise.all([1, 2, 3].map(() => before.create(sleeping)))
  const gone = await before.create(sleeping)
  await before.remove(gone.id)
  const listed = async (client: typeof before) =>
    (await ask(client.bus, verbs.containerList, { all: true })).containers.toSorted((a, b) =>
      a.id.localeCompare(b.id),
    )
  await eventually('three are listed', async () => (await listed(before)).length === 3)
  const expected = await listed(before)
  await before[Symbol.asyncDispose]()

  const bucket = join(config.names.nats, 'jetstream/jetstream/DOLLY/streams/KV_containers')
  await restarted(stack, () => rm(bucket, { recursive: true }))

  await using client = await containerClient(config)
  t.deepEqual(await listed(client), expected)
  t.is(expected.length, made.length)
})

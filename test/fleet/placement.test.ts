import test, { type ExecutionContext } from 'ava'
import { ulid } from 'ulid'
import { askPages } from '../../services/cli/commands/bus/ask.ts'
import { connectBus } from '../../shared/bus.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { createLog } from '../../shared/log.ts'
import { subjects } from '../../shared/subjects.ts'
import { type ContainerClient, containerClient } from '../helpers/container-client.ts'
import { type Host, type Hosts, makeHosts } from '../helpers/hosts.ts'
import { eventually } from '../helpers/stack.ts'

const log = createLog({}, 'silent')
let fleet: Hosts
let client: ContainerClient
/** Containers of 100M that each of the two nodes has room for. */
const room = 50

test.before(async () => {
  fleet = await makeHosts(['a', 'b'], { DOLLY_NODE_MEMORY: `${room * 100}M`, DOLLY_ACK_WAIT_MS: '1000' })
  await fleet.join(fleet.hosts[1]!, 'b')
  client = await containerClient(fleet.hosts[0]!.config())
  await bothReady()
})
test.afterEach.always(async () => {
  await removeAll()
  // What was reserved and given back at once is counted until the next look, up to a second later.
  await eventually('no room is reserved', async () => Object.keys(await reserved()).length === 0)
})
test.after.always(async () => {
  await client?.[Symbol.asyncDispose]()
  await fleet?.[Symbol.asyncDispose]()
})

/** As orchestrators keep it; the bucket has one key. */
const reserved = async (): Promise<object> => {
  const bus = await connectBus(fleet.hosts[0]!.config(), { role: 'orchestrator', log, patient: false })
  try {
    const [entry] = await (await bus.bucket('reservations')).entries()
    return entry ? (JSON.parse(entry.value) as { held: object }).held : {}
  } finally {
    await bus.close()
  }
}

const bothReady = () =>
  eventually(
    'both nodes are ready',
    async () => {
      const { stdout } = await fleet.hosts[0]!.dolly(['node', 'ls', '--json'])
      const nodes = JSON.parse(stdout) as { status: string; capacity: { memory: number } }[]
      return nodes.filter(({ status, capacity }) => status === 'ready' && capacity.memory > 0).length === 2
    },
    30_000,
  )

const reserving = (memory: string, more: object = {}) => ({
  id: ulid(),
  image: 'busybox',
  command: ['sleep', '1000'],
  deploy: { resources: { reservations: { memory } } },
  ...more,
})
const list = async () =>
  (await askPages(client.bus, verbs.containerList, { all: true })).flatMap(({ containers }) => containers)
const queued = async () =>
  (await list())
    .filter(({ status }) => status === 'queued')
    .toSorted((a, b) => (a.queue?.place ?? 0) - (b.queue?.place ?? 0))
const removeAll = async () => {
  const gone = await Promise.all((await list()).map(({ id }) => client.tryDelete({ id, force: true })))
  return gone.filter(({ type }) => type !== 'container.deleted')
}

/** The most containers that a node had at any time, by the log. */
const mostAtOnce = (ids: ReadonlySet<string>, node: string): number => {
  const there = new Set<string>()
  let most = 0
  for (const { type, subject, data } of client.events) {
    if (!subject || !ids.has(subject)) continue
    const record = data['record'] as { input?: { node?: string } } | undefined
    if (type === 'saga.started' && record?.input?.node === node) there.add(subject)
    if (type === 'container.deleted' || type === 'container.failed') there.delete(subject)
    most = Math.max(most, there.size)
  }
  return most
}

/** Asked on each host, of itself. */
const expectNoLeaks = async (t: ExecutionContext, hosts: readonly Host[]) => {
  for (const host of hosts) {
    const { stdout, stderr, exitCode } = await host.dolly(['doctor', '--leaks'])
    t.is(exitCode, 0, `${stdout}${stderr}`)
  }
}

test.serial(
  'a hundred creates at once fill two hosts evenly, what is more waits, and nothing leaks',
  async (t) => {
    t.timeout(180_000)
    const messages = Array.from({ length: 2 * room + 4 }, () => reserving('100M'))
    const ids = new Set(messages.map(({ id }) => id))
    const began = performance.now()
    const commands = await Promise.all(messages.map((message) => client.publish(subjects.create, message)))
    const [first, rest] = [commands.slice(0, 2 * room), commands.slice(2 * room)]
    for (const command of first) t.is((await client.outcome(command, 120_000)).type, 'container.running')
    t.log(`${first.length} ran after ${Math.round(performance.now() - began)} ms`)

    const containers = await list()
    const on = (node: string) => containers.filter((one) => one.node === node && one.status === 'running')
    t.is(on('a').length, room)
    t.is(on('b').length, room)
    const waiting = await queued()
    t.deepEqual(
      waiting.map(({ queue }) => [queue?.place, queue?.of]),
      rest.map((_, index) => [index + 1, rest.length]),
    )
    t.regex(waiting[0]?.queue?.reason ?? '', /no node has room \(a: memory .* taken; b: memory .* taken\)/)
    t.regex((await fleet.hosts[1]!.dolly(['ps', '-a'])).stdout, /Queued, 1 of 4: no node has room/)

    // Room on one host alone: those that wait go there, in their order.
    const freed = on('b').slice(0, 2)
    for (const { id } of freed) await client.remove(id)
    for (const command of rest.slice(0, 2)) {
      const { type, subject } = await client.outcome(command)
      t.is(type, 'container.running')
      t.is((await client.get(subject)).node, 'b')
    }
    t.is((await queued()).length, 2)
    t.deepEqual(await removeAll(), [])
    for (const node of ['a', 'b']) t.is(mostAtOnce(ids, node), room)
    for (const command of commands) t.is(client.outcomesOf(command).length, 1)
    await eventually('all are gone', async () => (await list()).length === 0)
    await expectNoLeaks(t, fleet.hosts)
  },
)

test.serial('with room left, spread keeps the counts of two hosts within one', async (t) => {
  const messages = Array.from({ length: 15 }, () => ({
    id: ulid(),
    image: 'busybox',
    command: ['sleep', '1000'],
  }))
  await Promise.all(messages.map((message) => client.create(message)))
  const nodes = (await list()).map(({ node }) => node)
  const [a, b] = ['a', 'b'].map((name) => nodes.filter((node) => node === name).length) as [number, number]
  t.true(Math.abs(a - b) <= 1, `${a} and ${b}`)
  t.is(a + b, messages.length)
  t.deepEqual(await removeAll(), [])
})

test.serial(
  'a create for one host waits for that host alone; with wait: false it fails and says both uses',
  async (t) => {
    const big = await client.create(reserving(`${room * 100 - 50}M`, { placement: { node: 'b' } }))
    t.is(big.node, 'b')
    const pinned = reserving('100M', { placement: { node: 'b' } })
    const command = await client.publish(subjects.create, pinned)
    await eventually('it waits', async () => (await queued()).length === 1)
    t.regex((await queued())[0]?.queue?.reason ?? '', /\(b: memory 100M asked/)
    t.is((await client.create(reserving('100M'))).node, 'a')

    const huge = await client.tryCreate(reserving(`${room * 100}M`, { placement: { wait: false } }))
    t.is(huge.type, 'container.rejected')
    t.is(huge.data['code'], 'no_capacity')
    const uses = huge.data['nodes'] as { node: string; limit: { memory: number }; use: { memory: number } }[]
    t.deepEqual(
      uses.map(({ node, limit, use }) => [node, limit.memory / 2 ** 20, use.memory / 2 ** 20]),
      [
        ['a', room * 100, 100],
        ['b', room * 100, room * 100 - 50],
      ],
    )
    await client.remove(big.id)
    t.is((await client.outcome(command)).type, 'container.running')
    t.is((await client.get(pinned.id)).node, 'b')
    t.deepEqual(await removeAll(), [])
    await expectNoLeaks(t, fleet.hosts)
  },
)

test.serial('what no host could ever hold waits, and nobody behind it', async (t) => {
  const huge = reserving(`${room}G`)
  const command = await client.publish(subjects.create, huge)
  await eventually('it waits', async () => (await queued()).some(({ id }) => id === huge.id))
  await client.create(reserving(`${room * 100 - 100}M`))
  const [only, ...others] = await queued()
  t.is(only?.id, huge.id)
  t.deepEqual(others, [])
  t.regex(only?.queue?.reason ?? '', /memory 50G asked/)
  t.is(
    (await client.outcome(await client.publish(subjects.delete, { id: huge.id }))).type,
    'container.deleted',
  )
  t.is((await client.outcome(command)).data['code'], 'cancelled')
  t.deepEqual(await removeAll(), [])
})

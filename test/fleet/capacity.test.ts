import test from 'ava'
import { ulid } from 'ulid'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { subjects } from '../../shared/subjects.ts'
import { dollyOf } from '../cli/dolly.ts'
import { type ContainerClient, containerClient } from '../helpers/container-client.ts'
import { moreOrchestrators, processesOf } from '../helpers/fault-processes.ts'
import { type Stack, eventually, startStack } from '../helpers/stack.ts'

let stack: Stack
let client: ContainerClient
/** Containers of 100M that the node has room for. */
const room = 10

test.before(async () => {
  stack = await startStack({ DOLLY_NODE_MEMORY: '1000M', DOLLY_ACK_WAIT_MS: '1000', DOLLY_MAX_LAUNCHES: '4' })
  client = await containerClient(stack.config)
})
test.after.always(async () => {
  await client?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
})

const reserving = (memory: string, more: object = {}) => ({
  id: ulid(),
  image: 'busybox',
  command: ['sleep', '1000'],
  deploy: { resources: { reservations: { memory } } },
  ...more,
})
const list = async () => (await ask(client.bus, verbs.containerList, { all: true })).containers
const queued = async () =>
  (await list())
    .filter(({ status }) => status === 'queued')
    .toSorted((a, b) => (a.queue?.place ?? 0) - (b.queue?.place ?? 0))
const revision = async () => (await (await stack.inside.bucket('reservations')).get('held'))?.revision
const held = async (): Promise<string[]> => {
  const entry = await (await stack.inside.bucket('reservations')).get('held')
  return entry?.operation === 'PUT' ? Object.keys(JSON.parse(entry.string()).held) : []
}
const expectNothingHeld = () =>
  eventually('nothing is reserved any more', async () => (await held()).length === 0, 20_000)
const remove = (ids: readonly string[]) => Promise.all(ids.map((id) => client.tryDelete({ id })))

/** The most containers that were there at any time, by the log. */
const mostAtOnce = (ids: ReadonlySet<string>): number => {
  let now = 0
  let most = 0
  for (const { type, subject } of client.events) {
    if (!ids.has(subject)) continue
    if (type === 'saga.started') most = Math.max(most, ++now)
    if (type === 'container.deleted' || type === 'container.failed') now--
  }
  return most
}

test.serial(
  'a create without room waits, ps shows its place and why, and it goes on when there is room',
  async (t) => {
    const big = await client.create(reserving('900M'))
    const waiting = [reserving('600M', { name: 'first' }), reserving('300M', { name: 'second' })]
    const commands: string[] = []
    for (const message of waiting) commands.push(await client.publish(subjects.create, message))
    await eventually('both wait', async () => (await queued()).length === 2)

    const [first, second] = await queued()
    t.like(first, { name: 'first', queue: { place: 1, of: 2 } })
    t.regex(first?.queue?.reason ?? '', /memory 600M asked, 900M of 1000M taken/)
    t.like(second, { name: 'second', queue: { place: 2, of: 2 } })
    const dolly = dollyOf(stack)
    t.regex((await dolly(['ps'])).stdout, /Queued, 1 of 2: no node has room .* first/)
    t.like(await client.get('second'), { id: waiting[1]?.id, status: 'queued' })
    const waitExec = { container: 'second', execId: 'abc', timeoutMs: 100 }
    await t.throwsAsync(ask(client.bus, verbs.containerExecWait, waitExec), {
      code: 'conflict',
      message: /is queued: it has no node yet/,
    })
    // It takes nothing that they wait for.
    const small = await client.create({})

    await client.remove(big.id)
    for (const command of commands) t.is((await client.outcome(command)).type, 'container.running')
    t.deepEqual(await queued(), [])
    await remove([...waiting.map(({ id }) => id), small.id])
    await expectNothingHeld()
  },
)

test.serial(
  'with wait: false a create without room fails at once and says the limit and the use',
  async (t) => {
    const big = await client.create(reserving('900M'))
    const { type, data } = await client.tryCreate(reserving('200M', { placement: { wait: false } }))
    t.is(type, 'container.rejected')
    t.is(data['code'], 'no_capacity')
    t.regex(String(data['reason']), /memory 200M asked, 900M of 1000M taken/)
    t.like(data['nodes'], [{ limit: { memory: 1000 * 2 ** 20 }, use: { memory: 900 * 2 ** 20 } }])
    const elsewhere = await client.tryCreate(
      reserving('1M', { placement: { wait: false, constraints: ['node.labels.gpu==yes'] } }),
    )
    t.is(elsewhere.data['code'], 'no_capacity')
    await client.remove(big.id)
  },
)

test.serial('a create that waits is deleted as any other', async (t) => {
  const big = await client.create(reserving('900M'))
  const waiting = reserving('200M', { name: 'doomed' })
  const command = await client.publish(subjects.create, waiting)
  await eventually('it waits', async () => (await queued()).length === 1)
  t.is((await client.tryDelete({ name: 'doomed' })).type, 'container.deleted')
  const outcome = await client.outcome(command)
  t.is(outcome.type, 'container.failed')
  t.is(outcome.data['code'], 'cancelled')
  t.deepEqual(await queued(), [])
  await client.remove(big.id)
})

test.serial('a create that waits outlives its orchestrator', async (t) => {
  const big = await client.create(reserving('900M'))
  const waiting = reserving('200M')
  const command = await client.publish(subjects.create, waiting)
  await eventually('it waits', async () => (await queued()).length === 1)
  const [{ pid } = { pid: 0 }] = await processesOf(stack.config, 'orchestrator')
  process.kill(pid, 'SIGKILL')
  await client.answers('orchestrator', pid)
  await client.remove(big.id)
  t.is((await client.outcome(command)).type, 'container.running')
  await client.remove(waiting.id)
  await expectNothingHeld()
})

test.serial(
  'on one node what reserves nothing is written nowhere, while few are made at a time',
  async (t) => {
    await expectNothingHeld()
    const before = await revision()
    const life = async (id: string) => {
      const began = performance.now()
      await client.remove((await client.create({ id })).id)
      return performance.now() - began
    }
    let [fresh, again] = [0, 0]
    const ids = Array.from({ length: 20 }, () => ulid())
    for (const id of ids) {
      fresh += await life(id)
      // So soon that the list has seen little of it; not a third time, since a longer log takes longer to read.
      again += await life(id)
    }
    await eventually('the list shows them no more', async () => (await list()).length === 0)
    again += await life(ids[0] ?? '')
    const times = `${Math.round(again)} ms, with other ids ${Math.round(fresh)}`
    t.true(again < 2 * fresh, `an id is free again when its container is gone: ${times}`)
    t.log(times)
    const one = await client.create({})
    t.is(await revision(), before)
    const messages = ['a', 'b', 'c'].map((id) => ({ id: `many-${id}`, image: 'busybox', command: ['true'] }))
    const commands = await Promise.all(messages.map((message) => client.publish(subjects.create, message)))
    for (const command of commands) t.is((await client.outcome(command)).type, 'container.running')
    t.not(await revision(), before)
    await remove([one.id, ...messages.map(({ id }) => id)])
    await expectNothingHeld()
  },
)

test.serial('three orchestrators never reserve more than there is, also when they are killed', async (t) => {
  t.timeout(180_000)
  await using more = await moreOrchestrators(stack, 2)
  const messages = Array.from({ length: 100 }, () => reserving('100M'))
  const ids = new Set(messages.map(({ id }) => id))
  const commands = await Promise.all(messages.map((message) => client.publish(subjects.create, message)))
  const served = commands.map(async (command, index) => {
    if (index === 20 || index === 50) {
      const [pid] = more.pids()
      if (pid) process.kill(pid, 'SIGKILL')
    }
    const { type, subject } = await client.outcome(command, 150_000)
    t.is(type, 'container.running')
    await client.remove(subject)
  })
  await Promise.all(served)
  t.true(mostAtOnce(ids) <= room, `${mostAtOnce(ids)} at once`)
  t.true(mostAtOnce(ids) > room / 2)
  for (const command of commands) t.is(client.outcomesOf(command).length, 1)
  t.deepEqual(await client.leaks(), [])
  await expectNothingHeld()
})

test.serial('a burst is answered, each create with its place until then', async (t) => {
  t.timeout(180_000)
  const count = 300
  const messages = Array.from({ length: count }, () => ({
    id: ulid(),
    image: 'busybox',
    command: ['true'],
    auto_remove: true,
  }))
  const commands = await Promise.all(messages.map((message) => client.publish(subjects.create, message)))
  const seen = await queued()
  t.true(seen.length > 50)
  t.deepEqual(
    seen.map(({ queue }) => queue?.place),
    seen.map((_, index) => index + 1),
  )
  t.regex(seen.at(-1)?.queue?.reason ?? '', /makes 4 containers at a time/)
  for (const command of commands) t.is((await client.outcome(command, 150_000)).type, 'container.running')
  t.deepEqual(await queued(), [])
  await eventually('all have ended', async () => (await list()).length === 0, 60_000)
  await expectNothingHeld()
})

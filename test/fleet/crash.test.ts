import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { ulid } from 'ulid'
import { askPages } from '../../services/cli/commands/bus/ask.ts'
import { hostServiceNames } from '../../shared/contracts/node.ts'
import type { CloudEvent } from '../../shared/contracts/event.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { subjects } from '../../shared/subjects.ts'
import { type ContainerClient, containerClient } from '../helpers/container-client.ts'
import { pidOf, replaced, signal } from '../helpers/fault-processes.ts'
import { type Host, type Hosts, makeHosts } from '../helpers/hosts.ts'
import { nodeEvents } from '../helpers/node-events.ts'
import { run } from '../helpers/reboot.ts'
import { eventually } from '../helpers/stack.ts'

let fleet: Hosts
let client: ContainerClient
let told: ReturnType<typeof nodeEvents>
let a: Host
let b: Host

test.before(async () => {
  fleet = await makeHosts(['a', 'b'], { DOLLY_ACK_WAIT_MS: '1000' })
  ;[a, b] = fleet.hosts as [Host, Host]
  await fleet.join(b, 'b')
  client = await containerClient(a.config())
  told = nodeEvents(client.bus)
  await bReady()
})
test.after.always(async () => {
  await told?.[Symbol.asyncDispose]()
  await client?.[Symbol.asyncDispose]()
  await fleet?.[Symbol.asyncDispose]()
})

const bReady = () =>
  eventually('b is ready', async () => /b +Ready/.test((await a.dolly(['node', 'ls'])).stdout), 30_000)
const onB = (more: object = {}) => ({
  id: ulid(),
  image: 'busybox',
  command: ['sleep', '1000'],
  placement: { node: 'b' },
  ...more,
})
const leaksOf = async (host: Host): Promise<string> => {
  const { exitCode, stdout, stderr } = await host.dolly(['doctor', '--leaks'])
  return exitCode === 0 ? '' : `${stdout}${stderr}`
}
/** After a reconciliation at most. */
const expectNoLeaks = async (host: Host): Promise<void> => {
  let left = ''
  try {
    await eventually('there is no leak', async () => (left = await leaksOf(host)) === '', 60_000)
  } catch (error) {
    throw new Error(`still there: ${left}`, { cause: error })
  }
}

const list = async () =>
  (await askPages(client.bus, verbs.containerList, { all: true })).flatMap(({ containers }) => containers)

/** The node of an event's container, which the first record of its saga says. */
const placed = ({ subject }: CloudEvent): string | undefined => {
  const started = client.events.find((event) => event.type === 'saga.started' && event.subject === subject)
  return (started?.data['record'] as { input?: { node?: string } } | undefined)?.input?.node
}

const killServices = async (host: Host): Promise<void> => {
  const killed = await Promise.all(hostServiceNames.map((name) => pidOf(host.config(), name)))
  for (const pid of killed) if (pid) signal(pid, 'SIGKILL')
  for (const [index, name] of hostServiceNames.entries()) await replaced(host.config(), name, killed[index])
}

for (const [moment, wanted, count] of [
  ['that begin', 'saga.started', 1],
  ['that have begun', 'saga.started', 8],
  ['half of which run', 'container.running', 5],
] as const)
  test.serial(
    `all services of one host killed amid 20 creates ${moment}: each ends in one outcome, without a leak`,
    async (t) => {
      const messages = Array.from({ length: 20 }, () => ({
        id: ulid(),
        image: 'busybox',
        command: ['sleep', '1000'],
      }))
      const ids = new Set<string | undefined>(messages.map(({ id }) => id))
      const commands = await Promise.all(messages.map((message) => client.publish(subjects.create, message)))
      const ofB = (type: string) =>
        client.events.filter(
          (event) => event.type === type && ids.has(event.subject) && placed(event) === 'b',
        )
      await eventually('they are', () => ofB(wanted).length >= count)
      await killServices(b)

      const outcomes = await Promise.all(commands.map((command) => client.outcome(command, 60_000)))
      const running = outcomes
        .filter(({ type }) => type === 'container.running')
        .map(({ subject }) => subject)
      t.log(`${running.length} run`)
      for (const { type } of outcomes)
        t.true(type === 'container.running' || type === 'container.failed', type)
      for (const host of [a, b]) await expectNoLeaks(host)
      const left = await list()
      t.deepEqual(left.map(({ id }) => id).toSorted(), running.toSorted())
      for (const id of running) await client.remove(id)
      for (const command of commands) t.is(client.outcomesOf(command).length, 1)
      for (const host of [a, b]) await expectNoLeaks(host)
    },
  )

test.serial(
  'what a container that is gone has left on a joined host is removed there, and told',
  async (t) => {
    const { id } = await client.create(onB({ command: ['true'] }))
    await client.remove(id)
    const { names } = b.config()
    const cgroup = join(['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find(existsSync) ?? '', names.cgroup(id))
    await b.enter('ip', ['netns', 'add', names.netns(id)])
    mkdirSync(names.bundle(id))
    mkdirSync(cgroup)
    const cleaned = await told.until('container.cleaned', id, 60_000)
    t.is(cleaned.subject, 'b')
    await eventually('nothing is left', async () => !existsSync(cgroup) && !existsSync(names.bundle(id)))
    t.false((await b.enter('ip', ['netns'])).stdout.includes(id))
    await expectNoLeaks(b)
    t.true(told.about('container.cleaned', id).every(({ subject }) => subject === 'b'))
  },
)

test.serial(
  "what nobody knows on a joined host is told, and removed on the word of the bus's operator",
  async (t) => {
    const id = ulid()
    const bundle = b.config().names.bundle(id)
    mkdirSync(bundle)
    t.is((await told.until('container.unexplained', id, 60_000)).subject, 'b')
    t.regex(await leaksOf(b), new RegExp(id))
    t.is(await leaksOf(a), '')
    t.regex((await a.dolly(['doctor', '--leaks', '--node', 'b'])).stdout, new RegExp(id))
    t.is((await a.dolly(['doctor', '--clean', id, '--node', 'b'])).exitCode, 0)
    t.false(existsSync(bundle))
  },
)

test.serial('an exit that nobody on a joined host saw is told as lost', async (t) => {
  const { id, pid = 0 } = await client.create(onB())
  const monitor = Number(await run('ps', '-o', 'ppid=', '-p', String(pid)))
  process.kill(monitor, 'SIGKILL')
  process.kill(pid, 'SIGKILL')
  t.is((await client.exited(id, 30_000)).data['lost'], true)
  t.is((await client.get(id)).status, 'stopped')
  await client.remove(id)
})

test.serial(
  'a container that ended while its host was down is started again when the host is back',
  async (t) => {
    t.timeout(120_000)
    const { id, pid = 0 } = await client.create(onB({ restart: 'always' }))
    t.regex(await b.down(), /1 container stays/)
    await eventually('b is down', async () => /b +Down/.test((await a.dolly(['node', 'ls'])).stdout), 30_000)
    const monitor = Number(await run('ps', '-o', 'ppid=', '-p', String(pid)))
    process.kill(monitor, 'SIGKILL')
    process.kill(pid, 'SIGKILL')
    const waiting = onB()
    const command = await client.publish(subjects.create, waiting)
    await b.up()
    t.is((await client.exited(id, 30_000)).data['lost'], true)
    await eventually('it runs again', async () => (await client.get(id)).status === 'running', 30_000)
    t.is((await client.outcome(command)).type, 'container.running')
    await client.remove(id)
    await client.remove(waiting.id)
    await expectNoLeaks(b)
  },
)

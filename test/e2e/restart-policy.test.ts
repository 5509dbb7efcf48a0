import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { type ContainerClient, containerClient, containerFor } from '../helpers/container-client.ts'
import { eventually, startStack } from '../helpers/stack.ts'

let stack: Awaited<ReturnType<typeof startStack>>
let client: ContainerClient

test.before(async () => {
  stack = await startStack({ DOLLY_RECONCILE_MS: '500', DOLLY_ACK_WAIT_MS: '500' })
  client = await containerClient(stack.config)
})
test.after.always(async () => {
  await client?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
})

const restartsOf = (id: string) => client.eventsOf(id, 'container.started')
const exitsOf = (id: string) => client.eventsOf(id, 'container.exited')
const millis = ({ time }: { time: string }) => Date.parse(time)

test('always: it comes back each time, after a pause that doubles from 100 ms', async (t) => {
  const { id } = await containerFor(t, client, { command: ['false'], restart: 'always' })
  await eventually('it was restarted four times', () => restartsOf(id).length >= 4, 20_000)
  const pauses = restartsOf(id)
    .slice(0, 4)
    .map((started, index) => millis(started) - millis(exitsOf(id)[index] ?? started))
  for (const [index, wanted] of [100, 200, 400, 800].entries()) {
    const pause = pauses[index] ?? 0
    t.true(pause >= wanted - 20, `pause ${index} was ${pause} ms, less than ${wanted}`)
  }
})

test('always: also after success, and under the same address', async (t) => {
  const { id, address } = await containerFor(t, client, { command: ['true'], restart: 'always' })
  await eventually('it was restarted', () => restartsOf(id).length >= 2)
  t.is((await client.get(id)).address, address)
})

test('on-failure:2: twice and no more, and never after success', async (t) => {
  const { id } = await containerFor(t, client, { command: ['sh', '-c', 'exit 3'], restart: 'on-failure:2' })
  const { id: well } = await containerFor(t, client, { command: ['true'], restart: 'on-failure' })
  await eventually('it has failed three times', () => exitsOf(id).length === 3)
  // Longer than the pause that a third restart would take.
  await delay(800)
  t.is(restartsOf(id).length, 2)
  const { status, exitCode, restarts } = await client.get(id)
  t.like({ status, exitCode, restarts }, { status: 'stopped', exitCode: 3, restarts: 2 })
  t.is(restartsOf(well).length, 0)
})

test('a user’s start counts the failures anew', async (t) => {
  const { id } = await containerFor(t, client, { command: ['sh', '-c', 'exit 3'], restart: 'on-failure:1' })
  await eventually('it has failed twice', () => exitsOf(id).length === 2)
  await ask(client.bus, verbs.containerStart, { container: id })
  await eventually('it was restarted once more', () => exitsOf(id).length === 4)
  await eventually('and counted as the first', async () => (await client.get(id)).restarts === 1)
  t.is(restartsOf(id).length, 3)
})

test('unless-stopped: back after a crash, not after a user’s stop', async (t) => {
  const { id, pid = 0 } = await containerFor(t, client, { restart: 'unless-stopped' })
  process.kill(pid, 'SIGKILL')
  await eventually('it runs again', async () => {
    const now = await client.get(id)
    return now.status === 'running' && now.pid !== pid
  })
  await ask(client.bus, verbs.containerStop, { container: id, timeoutMs: 0 })
  await eventually('it has ended', () => exitsOf(id).length === 2)
  await delay(500)
  t.is((await client.get(id)).status, 'stopped')
  t.is(restartsOf(id).length, 1)
})

test('stopped while its restart is waiting, it stays stopped', async (t) => {
  const { id } = await containerFor(t, client, { command: ['false'], restart: 'always' })
  await eventually('it waits for its third restart', () => exitsOf(id).length >= 4, 15_000)
  await ask(client.bus, verbs.containerStop, { container: id, timeoutMs: 0 })
  const before = restartsOf(id).length
  await delay(2500)
  t.is(restartsOf(id).length, before)
  t.is((await client.get(id)).status, 'stopped')
})

test('one that ran for ten seconds is restarted after 100 ms again', async (t) => {
  const command = [
    'sh',
    '-c',
    'test -e /tmp/third && sleep 10.3; test -e /tmp/second && touch /tmp/third; touch /tmp/second; false',
  ]
  const { id } = await containerFor(t, client, { command, restart: 'always' })
  await eventually('it has ended a third time', () => exitsOf(id).length >= 3, 25_000)
  await eventually('it was restarted after that', () => restartsOf(id).length >= 3)
  const [exit, start] = [exitsOf(id)[2], restartsOf(id)[2]]
  if (!exit || !start) throw new Error('both are there')
  t.log(`restarted after ${millis(start) - millis(exit)} ms`)
  t.is((await client.get(id)).restarts, 1)
})

test('one whose start fails says so, is tried again, and comes back when the cause has gone', async (t) => {
  const name = 'taken'
  const { id, pid = 0 } = await containerFor(t, client, { restart: 'always', image: 'busybox', name })
  const bucket = await stack.inside.bucket('names')
  const lease = await bucket.get(name)
  await bucket.put(name, 'someone-else', { previousSeq: lease?.revision ?? 0 })
  process.kill(pid, 'SIGKILL')
  const told = await client.until(
    'it says why',
    ({ subject, type }) => subject === id && type === 'container.restart-failed',
  )
  t.regex(String(told.data['reason']), /in use by container someone-else/)
  t.is((await client.get(id)).status, 'stopped')
  const taken = await bucket.get(name)
  await bucket.put(name, id, { previousSeq: taken?.revision ?? 0 })
  t.is((await ask(client.bus, verbs.containerStart, { container: id })).status, 'running')
})

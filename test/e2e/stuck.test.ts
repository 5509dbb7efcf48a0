import { connect } from 'node:net'
import test from 'ava'
import { ulid } from 'ulid'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { busAccess } from '../../shared/config.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { subjects } from '../../shared/subjects.ts'
import { type ContainerClient, containerClient } from '../helpers/container-client.ts'
import { tracesOf } from '../helpers/fault-traces.ts'
import { run } from '../helpers/reboot.ts'
import { eventually, startStack } from '../helpers/stack.ts'

let stack: Awaited<ReturnType<typeof startStack>>
let client: ContainerClient

test.before(async () => {
  stack = await startStack({ DOLLY_RECONCILE_MS: '500', DOLLY_ACK_WAIT_MS: '500', DOLLY_FAULT_INJECTION: 'on' })
  client = await containerClient(stack.config)
})
test.after.always(async () => {
  await release()
  for (const { id, status } of (await ask(stack.bus, verbs.sagaList, {})).sagas)
    if (status === 'stuck') await ask(stack.bus, verbs.sagaRetry, { container: id }, patience)
  await client?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
})

/** btrfs refuses to delete the subvolume that a bare mount would show. */
const hold = (id: string) => run('btrfs', 'subvolume', 'set-default', stack.config.names.rootfs(id))
const release = () => run('btrfs', 'subvolume', 'set-default', '5', stack.config.names.cowfs)

const patience = { timeoutMs: 60_000 }
const listed = async (id: string) =>
  (await ask(client.bus, verbs.sagaList, {})).sagas.find((saga) => saga.id === id)

const stuckContainer = async (id: string): Promise<void> => {
  await client.create({ id, command: ['sleep', '1000'] })
  await hold(id)
  const { type, data } = await client.tryDelete({ id })
  if (type !== 'container.stuck') throw new Error(`${type}: ${JSON.stringify(data)}`)
}

test.serial('what cannot be undone is stuck by name and reason, and a retry ends it when the cause has gone', async (t) => {
  const id = ulid()
  await client.create({ id, command: ['sleep', '1000'] })
  await hold(id)
  const { type, data } = await client.tryDelete({ id })
  t.is(type, 'container.stuck')
  const leaked = data['leaked'] as { step: string; reason: string }[]
  t.deepEqual(leaked.map(({ step }) => step), ['storage'])
  t.regex(leaked[0]?.reason ?? '', /cannot delete root of .*not permitted/i)
  t.is((await client.get(id)).status, 'stuck')
  await eventually('it is listed', async () => (await listed(id))?.status === 'stuck')
  t.deepEqual((await listed(id))?.leaked, leaked)
  t.deepEqual(tracesOf(stack.config, id), [stack.config.names.rootfs(id)], 'all else is undone')

  const { records } = await ask(stack.bus, verbs.sagaShow, { container: id })
  t.true(records.length >= 4)
  t.true(records.some((record) => record.type === 'container.stuck'))

  const again = await ask(stack.bus, verbs.sagaRetry, { container: id }, patience)
  t.is(again.status, 'stuck', 'the cause is still there')
  await release()
  const now = await ask(stack.bus, verbs.sagaRetry, { container: id }, patience)
  t.is(now.status, 'deleted')
  t.is(client.eventsOf(id, 'container.deleted').length, 1)
  t.deepEqual(tracesOf(stack.config, id), [])
  await eventually('it is listed no more', async () => (await listed(id)) === undefined)
  const refused = await t.throwsAsync(ask(stack.bus, verbs.sagaRetry, { container: id }))
  t.regex(String(refused?.message), /is deleted, not stuck/)
})

test.serial('skip leaves one resource and undoes the rest; it is a known leak until it is cleaned', async (t) => {
  const id = ulid()
  await stuckContainer(id)
  const wrong = await t.throwsAsync(ask(stack.bus, verbs.sagaSkip, { container: id, step: 'network' }))
  t.regex(String(wrong?.message), /"network" is not one of storage/)
  const { status } = await ask(stack.bus, verbs.sagaSkip, { container: id, step: 'storage' }, patience)
  t.is(status, 'deleted')
  const unwinding = client.eventsOf(id, 'saga.unwinding').at(-1)
  t.regex(JSON.stringify(unwinding?.data), /skipped by an operator/)
  await release()
  await eventually('it is reported as abandoned', async () =>
    (await client.leaks()).some(({ container, ownership }) => container === id && ownership === 'abandoned'),
  )
  t.deepEqual(tracesOf(stack.config, id), [stack.config.names.rootfs(id)], 'the reconciler leaves it, as it was told')
  await ask(stack.bus, verbs.nodeClean, { container: id })
  t.deepEqual(tracesOf(stack.config, id), [])
})

test.serial('abort gives up, says what was left, and node.clean removes it later', async (t) => {
  const id = ulid()
  await stuckContainer(id)
  const { status } = await ask(stack.bus, verbs.sagaAbort, { container: id })
  t.is(status, 'failed')
  const ended = await client.until('the end is told', ({ subject, type }) => subject === id && type === 'container.failed')
  t.deepEqual((ended.data['leaked'] as { step: string }[]).map(({ step }) => step), ['storage'])
  t.deepEqual(tracesOf(stack.config, id), [stack.config.names.rootfs(id)])
  const held = await t.throwsAsync(ask(stack.bus, verbs.nodeClean, { container: id }, patience))
  t.regex(String(held?.message), /cannot remove all of .*storage: /)
  await release()
  await ask(stack.bus, verbs.nodeClean, { container: id })
  t.deepEqual(tracesOf(stack.config, id), [])
})

test.serial('a create whose compensation fails ends as stuck, and so does its command', async (t) => {
  const id = ulid()
  const make = client.publish('container.create', {
    id,
    image: 'busybox',
    command: ['no-such-command'],
    trace: { inject: [{ step: 'namespace', point: 'after-act', action: 'fail' }] },
  })
  const commandId = await make
  const watching = eventually('its root is there', async () => {
    if (tracesOf(stack.config, id).includes(stack.config.names.rootfs(id))) {
      await hold(id)
      return true
    }
    return client.outcomesOf(commandId).length > 0
  })
  await watching
  const { type } = await client.outcome(commandId)
  t.true(['container.stuck', 'container.failed'].includes(type), 'the root may have been undone before it was held')
  await release()
  if (type === 'container.stuck') {
    await ask(stack.bus, verbs.sagaRetry, { container: id }, patience)
    t.is(client.outcomesOf(commandId).length, 1, 'the retry does not answer the command a second time')
  }
  t.deepEqual(tracesOf(stack.config, id), [])
})

const faults: Record<string, (id: string, n: number) => { data: unknown; raw?: Uint8Array }> = {
  'a gap': (_, n) => ({
    data: { record: { kind: 'cancelled', n: n + 5, owner: 'x', reason: 'a record is missing before this one' } },
  }),
  'a foreign run’s record': (_, n) => ({
    data: { record: { kind: 'progressed', n: n + 1, owner: 'a stranger', transitions: [] } },
  }),
  'no saga record': () => ({ data: { record: { kind: 'imagined' } } }),
}

for (const [what, fault] of Object.entries(faults)) {
  test.serial(`a journal with ${what} is reported with its sequence and parked as stuck; the fleet goes on`, async (t) => {
    const id = ulid()
    await client.create({ id, command: ['sleep', '1000'] })
    const { records } = await ask(stack.bus, verbs.sagaShow, { container: id })
    const n = Math.max(...records.map(({ data }) => (data as { record?: { n: number } }).record?.n ?? 0))
    const { sequence } = await stack.bus.append({
      kind: 'container',
      id,
      type: 'saga.progressed',
      messageId: `${id}:${what}`,
      ...(fault(id, n) as { data: Record<string, unknown> }),
    })
    // An event that makes the list look at the container again.
    await stack.bus.append({ kind: 'container', id, type: 'container.paused', messageId: `${id}:look`, data: {} })
    const told = await client.until('it is parked', (event) => event.subject === id && event.type === 'container.stuck')
    t.is(told.data['sequence'], sequence)
    t.regex(String(told.data['reason']), new RegExp(`sequence ${sequence}: `))
    const { status, error } = await client.get(id)
    t.is(status, 'stuck')
    t.regex(String(error?.reason), new RegExp(`sequence ${sequence}: `))
    await eventually('it is listed as stuck', async () => (await listed(id)) !== undefined)
    const deleted = await client.tryDelete({ id })
    t.is(deleted.type, 'container.stuck', 'a command on it has an outcome all the same')
    const shown = await ask(stack.bus, verbs.sagaShow, { container: id })
    t.true(shown.records.some((record) => record.sequence === sequence))
    const { id: other } = await client.create({ command: ['true'] })
    await client.remove(other)

    await t.throwsAsync(ask(stack.bus, verbs.sagaRetry, { container: id }), { message: new RegExp(`sequence ${sequence}`) })
    await ask(stack.bus, verbs.sagaAbort, { container: id })
    await eventually('it is listed no more', async () => (await listed(id)) === undefined)
    await eventually('what it has is a known leak', async () =>
      (await client.leaks()).some(({ container, ownership }) => container === id && ownership === 'abandoned'),
    )
    await ask(stack.bus, verbs.nodeClean, { container: id })
    t.deepEqual(tracesOf(stack.config, id), [])
    await client.create({ id, command: ['true'] })
    await client.remove(id)
  })
}

/** A message as any program could write it, past everything that the bus makes sure of. */
const publishRaw = async (subject: string, text: string): Promise<void> => {
  const { url, user, password } = busAccess(stack.config, 'orchestrator')
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const options = JSON.stringify({ user, pass: password, verbose: false, pedantic: false })
  socket.write(`CONNECT ${options}\r\nPUB ${subject} ${Buffer.byteLength(text)}\r\n${text}\r\nPING\r\n`)
  for await (const chunk of socket) if (String(chunk).includes('PONG')) break
  socket.destroy()
}

test.serial('a record that is no JSON parks its container, and node.clean ends it in one go', async (t) => {
  const id = ulid()
  await client.create({ id, command: ['sleep', '1000'], name: 'unreadable' })
  await publishRaw(subjects.append('container', id), '{"half a')
  const told = await client.until('it is parked', (event) => event.subject === id && event.type === 'container.stuck')
  t.regex(String(told.data['reason']), /no CloudEvent: \{"half a/)
  const { removed } = await ask(stack.bus, verbs.nodeClean, { container: id })
  t.true(removed.includes('storage'))
  t.deepEqual(tracesOf(stack.config, id), [])
  await eventually('it is listed no more', async () => (await listed(id)) === undefined)
  const again = await client.create({ command: ['true'], name: 'unreadable' })
  await client.remove(again.id)
})

test.serial('an event about someone else on a container’s subject parks it', async (t) => {
  const id = ulid()
  await client.create({ id, command: ['true'] })
  const event = { specversion: '1.0', id: 'x', source: '/x', type: 'x', subject: 'other', time: '', datacontenttype: 'application/json', data: {} }
  await publishRaw(subjects.append('container', id), JSON.stringify(event))
  await client.until('it is parked', ({ subject, type }) => subject === id && type === 'container.stuck')
  await ask(stack.bus, verbs.nodeClean, { container: id })
  t.deepEqual(tracesOf(stack.config, id), [])
})

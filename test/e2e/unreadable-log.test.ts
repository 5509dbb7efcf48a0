import { connect } from 'node:net'
import test from 'ava'
import { ulid } from 'ulid'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { busAccess } from '../../shared/config.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { subjects } from '../../shared/subjects.ts'
import { type ContainerClient, containerClient } from '../helpers/container-client.ts'
import { tracesOf } from '../helpers/fault-traces.ts'
import { eventually, startStack } from '../helpers/stack.ts'

let stack: Awaited<ReturnType<typeof startStack>>
let client: ContainerClient

test.before(async () => {
  stack = await startStack({
    DOLLY_RECONCILE_MS: '500',
    DOLLY_ACK_WAIT_MS: '500',
    DOLLY_FAULT_INJECTION: 'on',
  })
  client = await containerClient(stack.config)
})
test.after.always(async () => {
  await client?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
})

const listed = async (id: string) =>
  (await ask(client.bus, verbs.sagaList, {})).sagas.find((saga) => saga.id === id)

const faults: Record<string, (id: string, n: number) => { data: unknown; raw?: Uint8Array }> = {
  'a gap': (_, n) => ({
    data: {
      record: { kind: 'cancelled', n: n + 5, owner: 'x', reason: 'a record is missing before this one' },
    },
  }),
  'a foreign run’s record': (_, n) => ({
    data: { record: { kind: 'progressed', n: n + 1, owner: 'a stranger', transitions: [] } },
  }),
  'no saga record': () => ({ data: { record: { kind: 'imagined' } } }),
}

for (const [what, fault] of Object.entries(faults)) {
  test.serial(
    `a journal with ${what} is reported with its sequence and parked as stuck; the fleet goes on`,
    async (t) => {
      const id = ulid()
      await client.create({ id, command: ['sleep', '1000'] })
      const { records } = await ask(stack.bus, verbs.sagaShow, { container: id })
      const n = Math.max(...records.map(({ data }) => (data as { record?: { n: number } }).record?.n ?? 0))
      const { sequence } = await stack.inside.append({
        kind: 'container',
        id,
        type: 'saga.progressed',
        messageId: `${id}:${what}`,
        ...(fault(id, n) as { data: Record<string, unknown> }),
      })
      // An event that makes the list look at the container again.
      await stack.inside.append({
        kind: 'container',
        id,
        type: 'container.paused',
        messageId: `${id}:look`,
        data: {},
      })
      const told = await client.until(
        'it is parked',
        (event) => event.subject === id && event.type === 'container.stuck',
      )
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

      await t.throwsAsync(ask(stack.bus, verbs.sagaRetry, { container: id }), {
        message: new RegExp(`sequence ${sequence}`),
      })
      await ask(stack.bus, verbs.sagaAbort, { container: id })
      await eventually('it is listed no more', async () => (await listed(id)) === undefined)
      await eventually('what it has is a known leak', async () =>
        (await client.leaks()).some(
          ({ container, ownership }) => container === id && ownership === 'abandoned',
        ),
      )
      await ask(stack.bus, verbs.nodeClean, { container: id })
      t.deepEqual(tracesOf(stack.config, id), [])
      await client.create({ id, command: ['true'] })
      await client.remove(id)
    },
  )
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
  const told = await client.until(
    'it is parked',
    (event) => event.subject === id && event.type === 'container.stuck',
  )
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
  const event = {
    specversion: '1.0',
    id: 'x',
    source: '/x',
    type: 'x',
    subject: 'other',
    time: '',
    datacontenttype: 'application/json',
    data: {},
  }
  await publishRaw(subjects.append('container', id), JSON.stringify(event))
  await client.until('it is parked', ({ subject, type }) => subject === id && type === 'container.stuck')
  await ask(stack.bus, verbs.nodeClean, { container: id })
  t.deepEqual(tracesOf(stack.config, id), [])
})

import test from 'ava'
// oxlint-disable-next-line no-restricted-imports -- the proof that a client of Dolly needs NATS and nothing of ours
import { type NatsConnection, RequestStrategy, StringCodec, connect, headers } from 'nats'
import { ulid } from 'ulid'
import { busAccess } from '../../shared/config.ts'
import { subjects } from '../../shared/subjects.ts'
import { type Stack, eventually, startStack } from '../helpers/stack.ts'

interface Event {
  specversion?: string
  type: string
  subject: string
  commandid?: string
  data: Record<string, unknown>
}

let stack: Stack
let nats: NatsConnection
/** The server's word on what was refused: publishing is not answered. */
const refusals: string[] = []
const events: Event[] = []
const text = StringCodec()

const json = (body: Uint8Array) => JSON.parse(text.decode(body)) as Record<string, unknown>

test.before(async () => {
  stack = await startStack()
  const { url, user, password } = busAccess(stack.config, 'client')
  nats = await connect({ servers: url, user, pass: password })
  void (async () => {
    for await (const { type, data } of nats.status()) if (type === 'error') refusals.push(String(data))
  })()
  nats.subscribe('event.container.*', {
    callback: (_, { data }) => void events.push(json(data) as unknown as Event),
  })
  await nats.flush()
})
test.after.always(async () => {
  await nats?.close()
  await stack?.[Symbol.asyncDispose]()
})

const request = async (subject: string, body: object, messageId?: string) => {
  const meta = headers()
  if (messageId) meta.set('Nats-Msg-Id', messageId)
  return json((await nats.request(subject, JSON.stringify(body), { timeout: 5000, headers: meta })).data)
}

const eventOf = async (commandId: string): Promise<Event> => {
  const find = () =>
    events.find(({ commandid, type }) => commandid === commandId && !type.startsWith('saga.'))
  await eventually(`an outcome of ${commandId}`, () => find() !== undefined, 20_000)
  return find() ?? { type: '', subject: '', data: {} }
}

test.serial('a bare publish makes a container: receipt, outcome, state, exit, end', async (t) => {
  const id = ulid()
  const message = { id, name: 'dolly', image: 'busybox', command: ['sleep', '1000'] }
  const receipt = await request('container.create', message, 'create-1')
  t.like(receipt, { stream: 'COMMANDS' })
  t.is(typeof receipt['seq'], 'number')

  const running = await eventOf('create-1')
  t.like(running, { type: 'container.running', subject: id, specversion: '1.0', commandid: 'create-1' })
  t.like(running.data, { id, name: 'dolly' })

  t.like(await request('container.get', { container: 'dolly' }), { id, name: 'dolly', status: 'running' })

  await request('container.delete', { id }, 'delete-1')
  t.like(await eventOf('delete-1'), { type: 'container.deleted', subject: id })
})

test.serial('without a message id, the outcome names the place of the command in its stream', async (t) => {
  const id = ulid()
  const { seq } = await request('container.create', { id, image: 'busybox', command: ['sleep', '1000'] })
  t.is((await eventOf(`COMMANDS:${String(seq)}`)).type, 'container.running')
})

test.serial('the same message id is one command', async (t) => {
  const message = { image: 'busybox', command: ['sleep', '1000'] }
  const first = await request('container.create', message, 'once')
  t.like(await request('container.create', message, 'once'), { seq: first['seq'], duplicate: true })
  await eventOf('once')
  t.is(events.filter(({ commandid, type }) => commandid === 'once' && type === 'container.running').length, 1)
})

const garbage: Record<string, Uint8Array> = {
  'no JSON': text.encode('{"id": '),
  'a megabyte of zeros': new Uint8Array(1_000_000),
  'invalid UTF-8': Uint8Array.from([0x22, 0xff, 0xfe, 0x22]),
  'deep nesting': text.encode('['.repeat(400_000)),
  'deep nesting that is closed': text.encode('['.repeat(200_000) + ']'.repeat(200_000)),
  'a list': text.encode('[]'),
  'a number': text.encode('1e999'),
  null: text.encode('null'),
}

test.serial('garbage as a command is rejected with an event', async (t) => {
  for (const subject of ['container.create', 'container.delete']) {
    for (const [what, body] of Object.entries(garbage)) {
      const meta = headers()
      meta.set('Nats-Msg-Id', `${subject} ${what}`)
      await nats.request(subject, body, { timeout: 5000, headers: meta })
      const { type, data } = await eventOf(`${subject} ${what}`)
      t.is(type, 'container.rejected', what)
      t.is(data['code'], 'invalid_message', what)
    }
  }
})

test.serial(
  'garbage on every subject of every service is answered with an error, and the service lives',
  async (t) => {
    const connectAs = async (role: string) => {
      const { url, user = '', password } = busAccess(stack.config, role)
      const connection = await connect({
        servers: url,
        user,
        pass: password,
        inboxPrefix: subjects.inbox(user),
      })
      t.teardown(() => connection.close())
      return connection
    }
    const operator = await connectAs('operator')
    const orchestrator = await connectAs('orchestrator')
    const services = async () => {
      const found = []
      for await (const one of await operator.services
        .client({ strategy: RequestStrategy.JitterTimer, maxWait: 1000 })
        .info())
        // The registrar hears those alone who come with a token.
        if (one.name !== 'registrar') found.push(one)
      return found
    }
    const before = await services()
    t.is(before.length, 5)
    let answers = 0
    for (const { name, endpoints } of before) {
      const asker = name === 'orchestrator' ? operator : orchestrator
      for (const [index, { subject }] of endpoints.entries()) {
        for (const [what, body] of Object.entries(garbage)) {
          // All endpoints of a service parse in the same place: the large ones go to one of them.
          if (index > 0 && body.length > 1000) continue
          const { headers: meta } = await asker.request(subject, body, { timeout: 5000 })
          t.is(meta?.get('Nats-Service-Error-Code'), '400', `${what} on ${subject}`)
          t.regex(meta?.get('Nats-Service-Error') ?? '', /\S/)
          answers++
        }
      }
    }
    t.log(`${answers} answers`)
    const pids = (list: typeof before) =>
      list.map(({ name, metadata }) => `${name} ${metadata?.['pid']}`).toSorted()
    t.deepEqual(pids(await services()), pids(before))
  },
)

test.serial('a client may neither act on a host, nor forge events, nor touch streams', async (t) => {
  const { node } = stack.config
  const forbidden = [
    `host.${node}.storage.undo`,
    `host.${node}.namespace.kill`,
    'event.container.forged',
    'append.container.forged',
    '$JS.API.STREAM.PURGE.EVENTS',
    '$JS.API.STREAM.DELETE.COMMANDS',
    '$JS.API.CONSUMER.DELETE.COMMANDS.container-create',
    '$JS.API.CONSUMER.MSG.NEXT.COMMANDS.container-create',
    '$JS.API.STREAM.MSG.GET.COMMANDS',
    '$KV.containers.forged',
    '$KV.names.dolly',
  ]
  for (const subject of forbidden) {
    nats.publish(subject, '{}')
    await nats.flush()
    const isRefused = () => refusals.some((refusal) => /PERMISSIONS_VIOLATION/.test(refusal))
    await eventually(`${subject} is refused`, isRefused, 5000)
    refusals.length = 0
  }
  t.deepEqual(
    events.filter(({ subject }) => subject === 'forged'),
    [],
  )
})

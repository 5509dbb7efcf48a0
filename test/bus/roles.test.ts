import test, { type ExecutionContext } from 'ava'
import { busRoles } from '../../services/cli/stack/nats-permissions.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { subjects } from '../../shared/subjects.ts'
import { type Probe, probe } from '../helpers/probe.ts'
import { eventually, startNatsServer } from '../helpers/stack.ts'

type Server = Awaited<ReturnType<typeof startNatsServer>>

let server: Server
let node: string

test.before(async () => {
  server = await startNatsServer()
  node = server.config.node
})
test.after.always(() => server?.[Symbol.asyncDispose]())

const probeFor = async (t: ExecutionContext, role: string): Promise<Probe> => {
  const one = await probe(server.config, role)
  t.teardown(() => one[Symbol.asyncDispose]())
  return one
}

const api = '$JS.API'
const everyStream = ['COMMANDS', 'EVENTS', 'KV_containers', 'KV_names']

/** What would lose, change or divert what JetStream keeps. */
const destructive = everyStream.flatMap((stream) => [
  `${api}.STREAM.DELETE.${stream}`,
  `${api}.STREAM.PURGE.${stream}`,
  `${api}.STREAM.MSG.DELETE.${stream}`,
  `${api}.STREAM.RESTORE.${stream}`,
  `${api}.STREAM.SNAPSHOT.${stream}`,
  `${api}.CONSUMER.PAUSE.${stream}.projector`,
])
const changing = [...everyStream, 'MINE'].flatMap((stream) => [
  `${api}.STREAM.CREATE.${stream}`,
  `${api}.STREAM.UPDATE.${stream}`,
])
const consumers = ['COMMANDS', 'EVENTS'].flatMap((stream) => [
  `${api}.CONSUMER.CREATE.${stream}`,
  `${api}.CONSUMER.CREATE.${stream}.mine`,
  `${api}.CONSUMER.CREATE.${stream}.mine.container.create`,
  `${api}.CONSUMER.DURABLE.CREATE.${stream}.mine`,
  `${api}.CONSUMER.DELETE.${stream}.container-create`,
  `${api}.CONSUMER.DELETE.${stream}.projector`,
])
const taking = [
  `${api}.CONSUMER.MSG.NEXT.COMMANDS.container-create`,
  `${api}.CONSUMER.MSG.NEXT.EVENTS.projector`,
  '$JS.ACK.COMMANDS.container-create.1.1.1.1.0',
  '$JS.ACK.EVENTS.projector.1.1.1.1.0',
]
const forging = [
  'append.container.a',
  'append.node.a',
  'event.container.a',
  'event.node.a',
  '$KV.containers.a',
  '$KV.names.a',
]
const acting = ['storage', 'cgroup', 'network', 'namespace'].flatMap((service) => [
  `host.elsewhere.${service}.undo`,
  `host.elsewhere.${service}.do`,
])
const spying = [
  '>',
  '*.>',
  'host.>',
  'append.>',
  '$JS.>',
  '$KV.>',
  '$SYS.>',
  '_INBOX_operator.>',
  '_INBOX_bootstrap.>',
]

const expectRefused = async (t: ExecutionContext, one: Probe, publish: string[], subscribe: string[]) => {
  for (const subject of publish) t.false(await one.mayPublish(subject), `publish ${subject}`)
  for (const subject of subscribe) t.false(await one.maySubscribe(subject), `subscribe ${subject}`)
}

for (const role of busRoles) {
  test(`${role} may not delete, purge or divert what the bus keeps`, async (t) => {
    await expectRefused(t, await probeFor(t, role), destructive, [])
  })
  if (role !== 'bootstrap')
    test(`${role} may not make or change streams and consumers`, async (t) => {
      await expectRefused(t, await probeFor(t, role), [...changing, ...consumers], [])
    })
  test(`${role} may not read what is meant for others`, async (t) => {
    const one = await probeFor(t, role)
    const others = busRoles.filter((other) => other !== role && other !== 'client')
    const inboxes = others.map((other) =>
      ['operator', 'bootstrap'].includes(other) ? `_INBOX_${other}.>` : `_INBOX_${other}@${node}.>`,
    )
    const subscribe = [...spying, ...inboxes].filter((subject) => !subject.startsWith(`_INBOX_${role}.`))
    await expectRefused(t, one, [], subscribe)
    if (role !== 'client') t.false(await one.maySubscribe('_INBOX.>'), 'the inboxes of clients')
    t.true(await one.maySubscribe(`${subjects.inbox(one.user)}.>`), 'its own')
  })
}

for (const role of ['client', 'operator'] as const)
  test(`${role} may not act on hosts, forge what is known, or answer for a service`, async (t) => {
    const answering = ['container.create', 'container.get', 'saga.retry', '$SRV.PING', '$SRV.PING.storage']
    await expectRefused(t, await probeFor(t, role), [...acting, ...forging, ...taking], answering)
  })

test('a client asks what a client may, and an operator all of it', async (t) => {
  const [client, operator] = [await probeFor(t, 'client'), await probeFor(t, 'operator')]
  for (const { subject, role } of Object.values(verbs)) {
    t.is(await client.mayPublish(subject), role === 'client', subject)
    t.true(await operator.mayPublish(subject), subject)
  }
  for (const subject of ['$SRV.PING', '$SRV.INFO.storage', `host.${node}.storage.release`]) {
    t.false(await client.mayPublish(subject), subject)
    t.true(await operator.mayPublish(subject), subject)
  }
  const reading = [
    `${api}.STREAM.MSG.GET.COMMANDS`,
    `${api}.DIRECT.GET.COMMANDS`,
    `${api}.DIRECT.GET.KV_names.>`,
  ]
  await expectRefused(t, client, reading, [])
  await expectRefused(t, operator, reading, [])
})

for (const role of ['storage', 'cgroup', 'network', 'namespace'] as const)
  test(`${role} hears its own requests on its own node and tells its own facts`, async (t) => {
    const one = await probeFor(t, role)
    const other = role === 'storage' ? 'network' : 'storage'
    t.true(await one.maySubscribe(`host.${node}.${role}.do`))
    t.true(await one.mayPublish(`append.service.${node}-${role}`))
    t.is(await one.mayPublish('append.container.a'), role === 'namespace')
    await expectRefused(
      t,
      one,
      [
        ...acting,
        `host.${node}.${other}.do`,
        ...forging.filter((subject) => subject !== 'append.container.a'),
        `append.service.${node}-${other}`,
        `append.service.elsewhere-${role}`,
        ...taking,
        'container.create',
        'container.get',
        `${api}.INFO`,
        `${api}.STREAM.INFO.EVENTS`,
        `${api}.DIRECT.GET.EVENTS`,
        '$SRV.PING',
      ],
      [
        `host.elsewhere.${role}.do`,
        `host.${node}.${other}.do`,
        'container.get',
        'event.>',
        `$SRV.PING.${other}`,
        '$SRV.>',
      ],
    )
  })

test('an orchestrator drives hosts, writes the log, and gives no command but to delete what has ended', async (t) => {
  const one = await probeFor(t, 'orchestrator')
  for (const subject of [
    'host.elsewhere.storage.do',
    'append.container.a',
    '$KV.names.a',
    'container.delete',
  ])
    t.true(await one.mayPublish(subject), subject)
  const commands = ['container.create', 'container.get', 'saga.abort', 'event.container.a']
  const unread = ['container.create', 'container.delete', `host.${node}.storage.do`, 'event.node.a']
  await expectRefused(t, one, [...commands, `append.service.${node}-storage`], unread)
})

test('an answer goes to the asker alone, wherever it says it wants it', async (t) => {
  const client = await probeFor(t, 'client')
  const operator = await probeFor(t, 'operator')
  await using orchestrator = await server.bus('orchestrator')
  await using storage = await server.bus('storage')
  let acted = 0
  const answering = (name: string, subject: string, handle: () => void) => ({
    name,
    description: '',
    metadata: {},
    endpoints: [{ name: 'x', subject, handle: async () => (handle(), { plain: { id: 'victim' } }) }],
  })
  let asked = 0
  await orchestrator.serve(answering('orchestrator', 'container.get', () => asked++))
  await storage.serve(answering('storage', `host.${node}.storage.undo`, () => acted++))
  await orchestrator.request(`host.${node}.storage.undo`, {})
  t.is(acted, 1)
  const victims = ['append.container.victim', `host.${node}.storage.undo`, '$KV.names.victim']
  for (const one of [client, operator]) {
    for (const victim of victims) {
      // A receipt, a stored record, an error of the API and a service's own answer.
      for (const subject of ['container.create', `${api}.DIRECT.GET.EVENTS`, 'container.get'])
        t.true(await one.mayPublish(subject, victim), `${subject} with the reply ${victim}`)
    }
  }
  await eventually('all have been asked', () => asked === 2 * victims.length)
  await orchestrator.request(`host.${node}.storage.undo`, {})
  t.is(acted, 2, 'what was answered before has come')
  t.deepEqual(await orchestrator.journal('container', 'victim'), [])
  t.is(await (await orchestrator.bucket('names')).get('victim'), null)
})

test('nobody without credentials is let in, whatever they ask', async (t) => {
  const { connect } = await import('../../shared/bus/nats.ts')
  for (const options of [
    {},
    { user: 'client' },
    { user: '', pass: '' },
    { token: 'x' },
    { user: 'root', pass: 'x' },
  ])
    await t.throwsAsync(connect({ servers: server.url, ...options, reconnect: false }), {
      code: 'AUTHORIZATION_VIOLATION',
    })
})

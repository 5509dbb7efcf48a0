import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { changeFleet } from '../../services/cli/join/change-fleet.ts'
import { readFleet } from '../../services/cli/join/fleet.ts'
import { giveToken } from '../../services/cli/join/give-token.ts'
import { startRegistrar } from '../../services/cli/join/start-registrar.ts'
import { newKey, readToken } from '../../services/cli/join/token.ts'
import { nodeUserOf, tokenUserOf } from '../../services/cli/stack/nats-permissions.ts'
import { type NodeRole, nodeRoles } from '../../shared/contracts/join.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { createLog } from '../../shared/log.ts'
import { subjects } from '../../shared/subjects.ts'
import { binaryBodies, nastyValues, rawBodies } from '../helpers/hostile-corpus.ts'
import { type Probe, probeWithKey } from '../helpers/probe.ts'
import { eventually, startNatsServer } from '../helpers/stack.ts'

const log = createLog({}, 'silent')
const api = '$JS.API'
const seed = Number(process.env['DOLLY_FUZZ_SEED'] ?? Date.now() % 2 ** 31)
type Server = Awaited<ReturnType<typeof startNatsServer>>

let server: Server
test.before(async () => {
  // There are tokens only for a bus that others could reach.
  server = await startNatsServer({ DOLLY_NATS_LISTEN: '127.0.0.2' })
})
test.after.always(() => server?.[Symbol.asyncDispose]())

/** The server has read its users again when it lets this one in. */
const letIn = async (t: ExecutionContext, user: string, key: string): Promise<Probe> => {
  let one: Probe | undefined
  await eventually(`${user} is let in`, async () => {
    one = await probeWithKey(server.url, { user, seed: key }).catch(() => undefined)
    return one !== undefined
  })
  t.teardown(() => one?.[Symbol.asyncDispose]())
  return one as Probe
}

const withToken = async (t: ExecutionContext): Promise<{ id: string; one: Probe }> => {
  const { text } = await giveToken(server.config, { node: null, ttlMs: 600_000 })
  const { id, seed: key } = readToken(text)
  return { id, one: await letIn(t, tokenUserOf(id), key) }
}

const expectRefused = async (t: ExecutionContext, one: Probe, publish: string[], subscribe: string[]) => {
  for (const subject of publish) t.false(await one.mayPublish(subject), `publish ${subject}`)
  for (const subject of subscribe) t.false(await one.maySubscribe(subject), `subscribe ${subject}`)
}

/** What nobody who came by a token may do, whoever they are. */
const destroying = ['COMMANDS', 'EVENTS', 'KV_nodes'].flatMap((stream) => [
  `${api}.STREAM.DELETE.${stream}`,
  `${api}.STREAM.PURGE.${stream}`,
  `${api}.STREAM.UPDATE.${stream}`,
  `${api}.CONSUMER.CREATE.${stream}.mine`,
])
const forging = ['append.container.a', 'append.node.a', 'event.container.a', '$KV.nodes.a', '$KV.names.a']
const spying = ['>', 'host.>', 'append.>', '$JS.>', '$KV.>', '$SYS.>', '_INBOX.>', '_INBOX_operator.>']

test.serial('who has a token may ask to join by its own name, and nothing else', async (t) => {
  const { id, one } = await withToken(t)
  t.true(await one.mayPublish(subjects.join(id)))
  t.true(await one.maySubscribe(`${subjects.inbox(one.user)}.>`))
  await expectRefused(
    t,
    one,
    [
      ...destroying,
      ...forging,
      ...Object.values(verbs).map(({ subject }) => subject),
      subjects.join('another'),
      subjects.create,
      subjects.delete,
      subjects.forget,
      `host.${server.config.node}.storage.do`,
      `${api}.DIRECT.GET.EVENTS`,
      `${api}.INFO`,
      '$SRV.PING',
    ],
    [...spying, 'event.>', 'node.join.>', subjects.join(id), '_INBOX_join-another.>'],
  )
})

test.serial('the users of a node that has joined reach their own node alone', async (t) => {
  const keys = Object.fromEntries(nodeRoles.map((role) => [role, newKey()])) as Record<
    NodeRole,
    { publicKey: string; seed: string }
  >
  const publicKeys = Object.fromEntries(nodeRoles.map((role) => [role, keys[role].publicKey]))
  const { reload } = await changeFleet(server.config, (fleet) => ({
    ...fleet,
    nodes: { ...fleet.nodes, far: publicKeys as (typeof fleet.nodes)[string] },
  }))
  await reload()
  const { node } = server.config
  for (const role of nodeRoles) {
    const one = await letIn(t, nodeUserOf(role, 'far'), keys[role].seed)
    const others = nodeRoles.filter((other) => other !== role).map((other) => nodeUserOf(other, 'far'))
    await expectRefused(
      t,
      one,
      [
        ...destroying,
        ...forging.filter((subject) => role !== 'namespace' || subject !== 'append.container.a'),
        `host.${node}.storage.do`,
        `host.${node}.storage.objects`,
        `host.${node}.${role}.release`,
        'host.far.storage.do',
        'host.far.namespace.undo',
        'saga.abort',
        'image.import',
        'node.rm',
        `append.service.${node}-${role}`,
        subjects.join('another'),
      ],
      [...spying.filter((subject) => subject !== '>'), '>', ...others.map((other) => `_INBOX_${other}.>`)],
    )
    t.is(await one.mayPublish('host.far.storage.objects'), role === 'operator', role)
    t.is(await one.mayPublish('container.get'), role === 'operator', role)
    t.is(await one.maySubscribe(`host.far.${role}.do`), role !== 'operator', role)
    t.false(await one.maySubscribe(`host.${node}.${role}.do`), role)
  }

  const one = await letIn(t, nodeUserOf('operator', 'far'), keys.operator.seed)
  const giveRole = async (operators: string[]) => {
    const changed = await changeFleet(server.config, (fleet) => ({ ...fleet, operators }))
    await changed.reload()
    const may = operators.length > 0
    await eventually('a connection that stays has its new rights', async () => {
      return (await one.mayPublish('saga.abort')) === may
    })
  }
  await giveRole(['far'])
  for (const { subject } of Object.values(verbs)) t.true(await one.mayPublish(subject), subject)
  await expectRefused(
    t,
    one,
    [
      ...destroying,
      ...forging,
      `host.${node}.storage.do`,
      'host.far.namespace.undo',
      subjects.forget,
      subjects.nodeRole,
      subjects.join('another'),
    ],
    [...spying, 'node.role', `host.${node}.storage.do`],
  )
  await giveRole([])
  await expectRefused(t, one, ['saga.abort', 'image.import', 'node.rm', `host.${node}.storage.objects`], [])
})

const joinKeys = ['node', 'keys', 'ranges', 'subnet', 'now']
const utf8 = new TextEncoder()
const body = fc.oneof(
  fc.constantFrom(...rawBodies, ...binaryBodies),
  fc.json({ maxDepth: 5 }).map((text) => utf8.encode(text)),
  fc
    .array(fc.tuple(fc.constantFrom(...joinKeys, '__proto__'), fc.constantFrom(...nastyValues)))
    .map((entries) => {
      const honest = { node: 'evil', keys: {}, ranges: [], now: new Date().toISOString() }
      const members = Object.entries(honest).concat(entries as [string, never][])
      return utf8.encode(`{${members.map(([key, value]) => `"${key}":${JSON.stringify(value)}`).join(',')}}`)
    }),
)

test.serial('a thousand hostile requests to join are refused in words, and let nobody in', async (t) => {
  t.log(`seed ${seed}`)
  const registrar = await startRegistrar(server.config, log)
  t.teardown(() => registrar.close())
  const { id, one } = await withToken(t)
  for (const request of fc.sample(body, { numRuns: 1000, seed })) {
    const { headers, data } = await one.connection.request(subjects.join(id), request, { timeout: 20_000 })
    const said = new TextDecoder().decode(data)
    const code = Number(headers?.get('Nats-Service-Error-Code'))
    t.true(code >= 400 && code < 500, `${code} ${said} to ${new TextDecoder().decode(request).slice(0, 300)}`)
    t.true(((JSON.parse(said) as { message?: string }).message ?? '').length > 0)
  }
  const { nodes } = await readFleet(server.config)
  t.false('evil' in nodes)
})

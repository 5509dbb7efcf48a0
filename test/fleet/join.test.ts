import { mkdir, readFile, readdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { newKey } from '../../services/cli/join/token.ts'
import { readStackInfo } from '../../services/cli/stack/stack-files.ts'
import { program } from '../cli/dolly.ts'
import { containerClient } from '../helpers/container-client.ts'
import { type Host, type Hosts, makeHosts } from '../helpers/hosts.ts'
import { eventually } from '../helpers/stack.ts'

let fleet: Hosts
let a: Host
let b: Host

test.before(async () => {
  fleet = await makeHosts(['a', 'b'])
  ;[a, b] = fleet.hosts as [Host, Host]
})
test.after.always(() => fleet?.[Symbol.asyncDispose]())

const tokenFor = async (node: string, ...more: string[]): Promise<string> => {
  const { stdout, stderr, exitCode } = await a.dolly(['node', 'token', '--node', node, ...more])
  if (exitCode !== 0) throw new Error(stderr)
  return stdout
}
/** What is on a host that joining could change. */
const traces = async (host: Host) => ({
  files: await readdir(host.root, { recursive: true }),
  links: (await host.enter('ip', ['-o', 'link'])).stdout,
})
const fleetFile = async () =>
  JSON.parse(await readFile(join(a.config().names.nats, 'fleet.json'), 'utf8')) as {
    nodes: object
    tokens: object[]
  }

/** Tries to join, with further variables, and answers why not; nothing may have changed on the host nor in the fleet. */
const refused = async (
  token: string,
  { name = 'b', url = fleet.url, env = [] as string[] } = {},
): Promise<string> => {
  const before = await traces(b)
  const args = [...env, program, 'join', url, '--token', token, '--name', name]
  const { exitCode, stderr } = await b.enter('env', args)
  if (exitCode === 0) throw new Error('it has joined')
  const after = await traces(b)
  if (JSON.stringify(after) !== JSON.stringify(before))
    throw new Error(`it has changed the host: ${after.files}`)
  return stderr
}

test.serial('what is no token, one that was made up and one that has expired are refused', async (t) => {
  t.regex(await refused('dolly-join-abc'), /the token is none that "dolly node token" has printed/)
  const made = Buffer.from(JSON.stringify({ seed: newKey().seed, node: null })).toString('base64url')
  t.regex(await refused(`dolly-join-${made}`), /does not know this token: it is wrong or long past/)
  const short = await tokenFor('b', '--ttl', '1ms')
  t.regex(await refused(short), /the token expired at/)
  t.deepEqual((await fleetFile()).nodes, {})
})

test.serial('a name that is taken is refused, by the token already and by the registrar', async (t) => {
  const named = await a.dolly(['node', 'token', '--node', 'a'])
  t.is(named.exitCode, 1)
  t.regex(named.stderr, /there is a node a already/)
  const { stdout: any } = await a.dolly(['node', 'token'])
  t.regex(await refused(any, { name: 'a' }), /there is a node a already; "dolly node rm" takes it out/)
})

test.serial('a range that another node has is refused, and a bus that cannot be reached', async (t) => {
  const token = await tokenFor('b')
  const record = JSON.parse((await a.dolly(['node', 'inspect', 'a'])).stdout)[0] as { subnet: string }
  t.regex(await refused(token, { env: [`DOLLY_SUBNET=${record.subnet}`] }), /the subnet .* overlaps .*node a/)
  const [host, port] = new URL(fleet.url).host.split(':')
  t.regex(
    await refused(token, { url: `nats://${host}:${Number(port) + 1}` }),
    /cannot join .*cannot reach the bus/,
  )
  t.deepEqual((await fleetFile()).nodes, {})
})

test.serial('a clock ten minutes behind or ahead is refused', async (t) => {
  const token = await tokenFor('b')
  for (const [minutes, way] of [
    [-10, 'behind'],
    [10, 'ahead of'],
  ] as const) {
    const shifted = `globalThis.Date=class extends Date{constructor(...a){super(...(a.length?a:[Date.now()+${minutes * 60_000}]))}}`
    const env = [`NODE_OPTIONS=--import=data:text/javascript,${encodeURIComponent(shifted)}`]
    t.regex(await refused(token, { env }), new RegExp(`its clock is (599|60\\d) s ${way} the bus's host's`))
  }
})

test.serial('a bus whose host cannot write lets nobody in, says why, and does when it can', async (t) => {
  const token = await tokenFor('b')
  const before = await readStackInfo(a.config())
  const inTheWay = join(a.config().names.nats, '.part-nats.conf')
  await mkdir(inTheWay)
  t.regex(await refused(token), /cannot change the users of .*: EISDIR/)
  await rmdir(inTheWay)
  t.deepEqual((await fleetFile()).nodes, {})
  t.is((await b.dolly(['join', fleet.url, '--token', token])).exitCode, 0)
  t.is((await a.dolly(['node', 'rm', 'b'])).exitCode, 0)
  t.is((await readStackInfo(a.config()))?.supervisor, before?.supervisor)
})

test.serial('a node that was let in and never came is taken out, and its name is free again', async (t) => {
  const token = await tokenFor('b')
  t.is((await b.dolly(['join', fleet.url, '--token', token])).exitCode, 0)
  t.regex(await refused(token, { name: 'b' }), /the token was used by node b/)
  t.is((await a.dolly(['node', 'rm', 'b'])).exitCode, 0)
  const { nodes, tokens } = await fleetFile()
  t.deepEqual(nodes, {})
  t.false(JSON.stringify(tokens).includes('"usedBy":"b"'))
  const again = await a.dolly(['node', 'rm', 'b'])
  t.is(again.exitCode, 1)
  t.regex(again.stderr, /no such node: b/)
})

test.serial(
  'a node with containers stays; empty and down it goes, and its keys open nothing any more',
  async (t) => {
    t.timeout(120_000)
    await using client = await containerClient(a.config())
    await fleet.join(b, 'b')
    const isDown = async () => /b +Down/.test((await a.dolly(['node', 'ls'])).stdout)
    await eventually(
      'b is ready',
      async () => /b +Ready/.test((await a.dolly(['node', 'ls'])).stdout),
      30_000,
    )
    const { id, node } = await client.create({ command: ['sleep', '1000'], placement: { node: 'b' } })
    t.is(node, 'b')
    const busy = await a.dolly(['node', 'rm', 'b'])
    t.regex(busy.stderr, /cannot remove node b: its services answer/)
    const forced = await a.dolly(['node', 'rm', '--force', 'b'])
    t.is(forced.exitCode, 1)
    t.regex(forced.stderr, /cannot remove node b: it has 1 containers/)
    await client.remove(id)
    await b.down()
    await eventually('b is down', isDown, 30_000)
    t.is((await a.dolly(['node', 'rm', 'b'])).exitCode, 0)
    t.false((await a.dolly(['node', 'ls'])).stdout.includes('b '))
    const shut = async () => (await b.dolly(['node', 'ls'])).exitCode !== 0
    await eventually('its keys are of no use', shut)
    await fleet.join(b, 'b')
    t.regex((await b.dolly(['node', 'ls'])).stdout, /b \*/)
  },
)

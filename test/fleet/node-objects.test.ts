import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { type Host, type Hosts, makeHosts } from '../helpers/hosts.ts'
import { eventually } from '../helpers/stack.ts'
import { tarOf } from '../storage/tar-builder.ts'

let fleet: Hosts
let a: Host
let b: Host

test.before(async () => {
  fleet = await makeHosts(['a', 'b'])
  ;[a, b] = fleet.hosts as [Host, Host]
})
test.after.always(() => fleet?.[Symbol.asyncDispose]())

const bReady = async () => /b +Ready/.test((await a.dolly(['node', 'ls'])).stdout)
const tar = async (host: Host, text: string): Promise<string> => {
  const file = join(host.root, 'image.tar')
  const large = Array.from({ length: 40 }, (_, index) => ({
    name: `data/${index}`,
    body: text.repeat(10_000),
  }))
  await writeFile(file, tarOf([{ name: './', type: '5' }, { name: 'etc/name', body: text }, ...large]))
  return file
}
const said = async (host: Host, args: string[], input?: string) => {
  const { stdout, stderr, exitCode } = await host.dolly(args, 60_000, input)
  if (exitCode !== 0) throw new Error(`dolly ${args.join(' ')}: ${stderr}`)
  return stdout
}
/** A question that is not idempotent waits its 30 s when the server loses its answer by reading its users anew. */
const rereadMs = 60_000

/** Rows as their columns. */
const rows = (text: string): string[][] =>
  text
    .split('\n')
    .slice(1)
    .map((row) => row.split(/ {3,}/))

test.serial('one node alone needs no name in lists', async (t) => {
  t.regex(await said(a, ['image', 'ls']), /^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE$/m)
  t.regex(await said(a, ['volume', 'ls']), /^VOLUME NAME +CREATED +LIMIT +CONTAINERS$/m)
  await fleet.join(b, 'b')
  await eventually('b is ready', bReady, 30_000)
})

test.serial('a volume is made on the own host, or where it is said, and listed with its node', async (t) => {
  await said(a, ['volume', 'create', 'mine'])
  await said(a, ['volume', 'create', '--node', 'b', 'theirs'])
  await said(b, ['volume', 'create', 'also'])
  const whole = await said(a, ['volume', 'ls'])
  t.regex(whole, /^VOLUME NAME .* NODE$/m)
  const found = rows(whole).map((row) => [row[0], row.at(-1)])
  t.deepEqual(found.toSorted(), [
    ['also', 'b'],
    ['mine', 'a'],
    ['theirs', 'b'],
  ])
  t.deepEqual((await said(b, ['volume', 'ls', '-q', '--node', 'b'])).split('\n').toSorted(), [
    'also',
    'theirs',
  ])
  t.regex(await said(a, ['volume', 'inspect', '--node', 'b', 'theirs']), /"name": "theirs"/)
  t.regex((await a.dolly(['volume', 'inspect', 'theirs'])).stderr, /theirs/)
  t.is(await said(a, ['volume', 'rm', '--node', 'b', 'theirs', 'also']), 'theirs\nalso')
  t.is(await said(a, ['volume', 'ls', '-q']), 'mine')
  const { stderr, exitCode } = await a.dolly(['volume', 'ls', '--node', 'moon'])
  t.is(exitCode, 1)
  t.regex(stderr, /no such node: moon; there is a, b/)
})

test.serial('an image is imported on another node from a tar of this host, and removed there', async (t) => {
  const digest = await said(a, ['image', 'import', '--node', 'b', 'sent', await tar(a, 'sent')])
  const listed = rows(await said(a, ['image', 'ls'])).filter(([name]) => name === 'sent')
  t.deepEqual(
    listed.map((row) => row.at(-1)),
    ['b'],
  )
  const onB = JSON.parse(await said(b, ['image', 'ls', '--json', '--node', 'b'])) as { digest: string }[]
  t.true(onB.some((image) => image.digest === digest))
  const bad = await a.dolly(['image', 'import', '--node', 'b', 'bad', '-'], 60_000, 'no tar')
  t.is(bad.exitCode, 1)
  t.regex(bad.stderr, /^dolly: cannot import [^\n]+$/)
  t.regex(await said(a, ['image', 'rm', '--node', 'b', 'sent']), /Untagged: sent:latest/)
  t.deepEqual(await readdir(b.config().names.uploads), [])
})

test.serial('root of a joined host imports and removes on its own node, and on no other', async (t) => {
  await said(b, ['image', 'import', 'own', await tar(b, 'own')])
  t.deepEqual(
    rows(await said(a, ['images'])).flatMap((row) => (row[0] === 'own' ? [row.at(-1)] : [])),
    ['b'],
  )
  const { stderr, exitCode } = await b.dolly([
    'image',
    'import',
    '--node',
    'a',
    'own',
    join(b.root, 'image.tar'),
  ])
  t.is(exitCode, 1)
  t.regex(stderr, /^dolly: the bus lets only an operator do this; "dolly node promote" on its host [^\n]+$/)
  t.regex(await said(b, ['image', 'rm', 'own']), /Untagged: own:latest/)
})

test.serial(
  'whoever is root of a node that is promoted says an operator’s words about any node',
  async (t) => {
    const roles = async (host: Host) =>
      rows(await said(host, ['node', 'ls'])).map(([name, , role]) => [name?.replace(' *', ''), role])
    t.deepEqual(await roles(a), [
      ['a', 'operator'],
      ['b', 'client'],
    ])
    const { id } = JSON.parse(await said(a, ['create', '--json', '--name', 'whole', 'busybox'])) as {
      id: string
    }
    const retry = () => b.dolly(['saga', 'retry', id])
    t.regex((await retry()).stderr, /lets only an operator do this/)
    const own = await b.dolly(['node', 'promote', 'b'])
    t.regex(own.stderr, /lets only an operator do this/)

    t.is(await said(a, ['node', 'promote', 'b']), 'b')
    t.is(await said(a, ['node', 'promote', 'b', 'a']), 'b\na')
    await eventually('b is an operator', async () => /, not stuck/.test((await retry()).stderr), rereadMs)
    t.deepEqual(await roles(b), [
      ['a', 'operator'],
      ['b', 'operator'],
    ])
    t.regex(
      (await b.dolly(['doctor', '--node', 'a', '--clean', id])).stderr,
      /is in the log: delete it instead/,
    )
    await said(b, ['image', 'import', '--node', 'a', 'from-b', join(b.root, 'image.tar')])
    t.regex(await said(a, ['image', 'ls']), /^from-b /m)
    t.regex(await said(b, ['image', 'rm', '--node', 'a', 'from-b']), /Untagged: from-b:latest/)
    t.is(await said(b, ['rm', 'whole']), 'whole')

    t.is(await said(b, ['node', 'demote', 'b']), 'b')
    await eventually(
      'b is a client again',
      async () => /lets only an operator do this/.test((await retry()).stderr),
      rereadMs,
    )
    t.regex((await a.dolly(['node', 'demote', 'a'])).stderr, /cannot demote node a: the bus is its own/)
    t.regex((await a.dolly(['node', 'promote', 'moon'])).stderr, /no such node: moon/)
  },
)

test.serial('what a node has that is away is said to be missing', async (t) => {
  await b.down()
  await eventually('b is down', async () => /b +Down/.test((await a.dolly(['node', 'ls'])).stdout), 30_000)
  const { stdout, stderr, exitCode } = await a.dolly(['volume', 'ls'])
  t.is(exitCode, 1)
  t.regex(stdout, /^mine .* a$/m)
  t.is(stderr, 'dolly: cannot list what node b has: node b is down')
})

import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { program } from '../cli/dolly.ts'
import { pidOf, replaced, signal } from '../helpers/fault-processes.ts'
import { type Host, type Hosts, makeHosts } from '../helpers/hosts.ts'
import { eventually } from '../helpers/stack.ts'

let fleet: Hosts
let a: Host
let b: Host

const onB = ['--constraint', 'node.hostname==b']

test.before(async () => {
  fleet = await makeHosts(['a', 'b'])
  ;[a, b] = fleet.hosts as [Host, Host]
  await fleet.join(b, 'b')
  await eventually('b is ready', async () => /b +Ready/.test((await a.dolly(['node', 'ls'])).stdout), 30_000)
  const { exitCode, stderr } = await a.dolly([
    'run',
    '-d',
    '-q',
    '--name',
    'far',
    ...onB,
    'busybox',
    'sleep',
    '1000',
  ])
  if (exitCode !== 0) throw new Error(stderr)
})
test.after.always(() => fleet?.[Symbol.asyncDispose]())

const sum = (text: string): string => createHash('sha256').update(text).digest('hex')

test('run in the foreground on another host: exit code, output and errors apart, all of it', async (t) => {
  const script = 'seq 1 100000; echo bad >&2; exit 7'
  const { stdout, stderr, exitCode } = await a.dolly([
    'run',
    '--rm',
    '-q',
    ...onB,
    'busybox',
    'sh',
    '-c',
    script,
  ])
  t.is(exitCode, 7, stderr)
  t.is(stdout.split('\n').length, 100_000)
  t.true(stdout.endsWith('\n100000'))
  t.is(stderr, 'bad')
})

test('run -i hands standard input over and ends it', async (t) => {
  const { stdout, stderr } = await a.dolly(
    ['run', '--rm', '-q', '-i', ...onB, 'busybox', 'cat'],
    60_000,
    'hi',
  )
  t.is(stdout, 'hi', stderr)
  t.is((await a.dolly(['run', '--rm', '-q', ...onB, 'busybox', 'cat'], 60_000, 'hi')).stdout, '')
})

test('start -a attaches to what was created on another host', async (t) => {
  await a.dolly(['create', '-q', '--name', 'later', ...onB, 'busybox', 'sh', '-c', 'echo hi; exit 3'])
  const { stdout, exitCode, stderr } = await a.dolly(['start', '-a', 'later'])
  t.is(stdout, 'hi', stderr)
  t.is(exitCode, 3)
  const again = await a.dolly(['start', '-a', 'later'])
  t.is(again.stdout, 'hi', again.stderr)
  t.is(again.exitCode, 3)
})

test('megabytes go through exec in both directions, unharmed', async (t) => {
  const text = randomBytes(3 << 20).toString('hex')
  const began = performance.now()
  const { stdout, stderr, exitCode } = await a.dolly(['exec', '-i', 'far', 'cat'], 60_000, text)
  t.log(`${Math.round((2 * text.length) / 1e3 / (performance.now() - began))} MB/s both ways together`)
  t.is(exitCode, 0, stderr)
  t.is(stdout.length, text.length)
  t.is(sum(stdout), sum(text))
})

test('exec answers the exit code of what runs on another host, and 127 and 126 of what cannot', async (t) => {
  t.is((await a.dolly(['exec', 'far', 'sh', '-c', 'exit 9'])).exitCode, 9)
  t.is((await a.dolly(['exec', 'far', 'no-such-program'])).exitCode, 127)
  t.is((await a.dolly(['exec', 'far', '/etc'])).exitCode, 126)
  t.is((await a.dolly(['exec', 'nobody', 'true'])).exitCode, 125)
})

test('what ends before all of its input is read has its output and exit code all the same', async (t) => {
  const input = 'x'.repeat(2 << 20)
  const { stdout, exitCode } = await a.dolly(['exec', '-i', 'far', 'head', '-c', '3'], 60_000, input)
  t.is(stdout, 'xxx')
  t.is(exitCode, 0)
})

test('exec -t has the size of our terminal', async (t) => {
  const line = `stty rows 21 cols 81; ${program} exec -it far sh -c 'stty size; exit 6'`
  const { stdout, exitCode } = await a.enter('script', ['-qefc', line, '/dev/null'])
  t.regex(stdout, /21 81/)
  t.is(exitCode, 6)
})

test('logs come from another host, the last lines too, and are followed until the end', async (t) => {
  await a.dolly(['run', '-d', '-q', '--name', 'told', ...onB, 'busybox', 'sh', '-c', 'seq 1 5; echo bad >&2'])
  await a.dolly(['wait', 'told'])
  const all = await a.dolly(['logs', 'told'])
  t.is(all.stdout, '1\n2\n3\n4\n5', all.stderr)
  t.is(all.stderr, 'bad')
  t.is((await a.dolly(['logs', '--tail', '2', 'told'])).stdout, '5')

  const script = 'i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo $i; sleep 0.1; done'
  await a.dolly(['run', '-d', '-q', '--name', 'telling', ...onB, 'busybox', 'sh', '-c', script])
  const followed = await a.dolly(['logs', '-f', 'telling'])
  t.is(followed.stdout.split('\n').length, 20, followed.stderr)
  t.is(followed.exitCode, 0)
})

test('cp goes to another host and back', async (t) => {
  const [there, back] = [join(a.root, 'there'), join(a.root, 'back')]
  await mkdir(join(there, 'sub'), { recursive: true })
  const content = randomBytes(1 << 20).toString('hex')
  await writeFile(join(there, 'sub', 'big'), content)
  const into = await a.dolly(['cp', there, 'far:/tmp'])
  t.is(into.exitCode, 0, into.stderr)
  t.is((await a.dolly(['exec', 'far', 'sha256sum', '/tmp/there/sub/big'])).stdout.split(' ')[0], sum(content))
  const out = await a.dolly(['cp', 'far:/tmp/there', back])
  t.is(out.exitCode, 0, out.stderr)
  t.is(sum(await readFile(join(back, 'sub', 'big'), 'utf8')), sum(content))
  const none = await a.dolly(['cp', 'far:/none', back])
  t.regex(none.stderr, /^dolly: cannot copy far:\/none to [^\n]*no such file or directory$/)
})

test('from a host that has joined, to a container of the one with the bus', async (t) => {
  const { stderr } = await b.dolly([
    'run',
    '-d',
    '-q',
    '--name',
    'home',
    '--constraint',
    'node.hostname==a',
    'busybox',
    'sleep',
    '1000',
  ])
  const { stdout, exitCode, stderr: said } = await b.dolly(['exec', '-i', 'home', 'wc', '-c'], 60_000, 'four')
  t.is(stdout, '4', `${stderr}${said}`)
  t.is(exitCode, 0)
  t.regex((await b.dolly(['profile', 'home'])).stdout, /^storage +done /m)
  t.regex((await b.dolly(['saga', 'show', 'home'])).stdout, /container\.running/)
})

test.serial(
  'an orchestrator that is killed in mid-stream loses no byte of it, and none comes twice',
  async (t) => {
    const script = 'i=0; while [ $i -lt 60 ]; do i=$((i+1)); seq 1 2000; sleep 0.05; done'
    const reading = a.dolly(['exec', 'far', 'sh', '-c', script], 120_000)
    const looping = async () => /^sh -c i=0.*seq 1 2000/m.test((await b.enter('ps', ['-eo', 'args'])).stdout)
    await eventually('it writes', looping)
    const before = await pidOf(a.config(), 'orchestrator')
    signal(before!, 'SIGKILL')
    await replaced(a.config(), 'orchestrator', before)
    const { stdout, stderr, exitCode } = await reading
    t.is(exitCode, 0, stderr)
    const numbers = Array.from({ length: 2000 }, (_, index) => index + 1)
    t.is(sum(stdout), sum(Array.from({ length: 60 }, () => numbers.join('\n')).join('\n')))
  },
)

test.serial(
  'a service that is killed in mid-stream breaks the stream in one line, and nothing else',
  async (t) => {
    const script = 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done'
    await a.dolly(['run', '-d', '-q', '--name', 'counts', ...onB, 'busybox', 'sh', '-c', script])
    const before = await pidOf(b.config(), 'namespace')
    const reading = a.dolly(['exec', 'counts', 'sh', '-c', script])
    const looping = async () => (await a.dolly(['exec', 'counts', 'ps'])).stdout.split('i=0').length - 1
    await eventually('it runs', async () => (await looping()) >= 2)
    signal(before!, 'SIGKILL')
    const { stderr, exitCode } = await reading
    t.log(stderr)
    t.is(exitCode, 125)
    t.regex(
      stderr,
      /^dolly: the connection to node b broke \(what runs there goes on\): [^\n]+restarted[^\n]+$/,
    )
    await replaced(b.config(), 'namespace', before)
    t.regex((await a.dolly(['ps'])).stdout, /Up .* counts/)
    // A line may come between the look for the last one and the reading.
    const count = async () =>
      Number((await a.dolly(['logs', '--tail', '1', 'counts'])).stdout.split('\n').at(-1))
    const then = await count()
    await eventually('it goes on counting', async () => (await count()) > then)
  },
)

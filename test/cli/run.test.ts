import test from 'ava'
import { once } from 'node:events'
import { execa } from 'execa'
import { patienceMs } from '../../shared/patience.ts'
import { type Stack, eventually, startStack } from '../helpers/stack.ts'
import { type Dolly, dollyOf, environmentOf, program } from './dolly.ts'

let stack: Stack
let dolly: Dolly

test.before(async () => {
  stack = await startStack()
  dolly = dollyOf(stack)
})
test.after.always(() => stack?.[Symbol.asyncDispose]())

const exits: [command: string[], code: number][] = [
  [['true'], 0],
  [['false'], 1],
  [['sh', '-c', 'exit 7'], 7],
  [['sh', '-c', 'exit 255'], 255],
  [['sh', '-c', "(kill -9 $BASHPID 2>/dev/null || sh -c 'kill -9 $$'); exit $?"], 137],
  [['no-such-program'], 127],
  [['/etc/no-such-program'], 127],
  [['/etc'], 126],
]

for (const [command, code] of exits) {
  test(`run ${command.join(' ')} exits ${code}`, async (t) => {
    const { exitCode, stderr } = await dolly(['run', '--rm', '-q', 'busybox', ...command])
    t.is(exitCode, code, stderr)
    if (code >= 126 && code <= 127) t.regex(stderr, /^dolly: cannot [^\n]+$/)
  })
}

test('standard output and standard error stay apart, and all of them arrives', async (t) => {
  const { stdout, stderr } = await dolly([
    'run',
    '--rm',
    '-q',
    'busybox',
    'sh',
    '-c',
    'seq 1 100000; echo bad >&2',
  ])
  t.is(stdout.split('\n').length, 100_000)
  t.true(stdout.endsWith('\n100000'))
  t.is(stderr, 'bad')
})

test('-i hands standard input over and ends it', async (t) => {
  t.is((await dolly(['run', '--rm', '-q', '-i', 'busybox', 'cat'], { input: 'hi\n' })).stdout, 'hi')
  const large = 'x'.repeat(300_000)
  const { stdout } = await dolly(['run', '--rm', '-q', '-i', 'busybox', 'wc', '-c'], { input: large })
  t.is(stdout.trim(), '300000')
})

test('without -i the container reads nothing', async (t) => {
  t.is((await dolly(['run', '--rm', '-q', 'busybox', 'cat'], { input: 'hi\n' })).stdout, '')
})

test('the steps are shown on standard error, not when quiet', async (t) => {
  const { stdout, stderr } = await dolly(['run', '--rm', 'busybox', 'echo', 'hi'])
  t.is(stdout, 'hi')
  for (const step of ['storage', 'cgroup', 'network', 'namespace'])
    t.regex(stderr, new RegExp(`✔ ${step} done`))
  t.is((await dolly(['run', '--rm', '-q', 'busybox', 'echo', 'hi'])).stderr, '')
})

test('flags reach the container', async (t) => {
  const flags = [
    '-e',
    'A=b c',
    '-w',
    '/tmp',
    '-u',
    '65534',
    '-h',
    'lab',
    '--ulimit',
    'nofile=99',
    '--entrypoint',
    'sh',
  ]
  const script = 'echo $A; pwd; id -u; hostname; ulimit -n'
  const { stdout } = await dolly(['run', '--rm', '-q', ...flags, 'busybox', '-c', script])
  t.is(stdout, 'b c\n/tmp\n65534\nlab\n99')
})

test('--rm leaves nothing, without it the stopped container stays', async (t) => {
  await dolly(['run', '--rm', '-q', '--name', 'gone', 'busybox', 'true'])
  await dolly(['run', '-q', '--name', 'stays', 'busybox', 'sh', '-c', 'exit 3'])
  const listed = await dolly(['ps', '-a'])
  t.notRegex(listed.stdout, /gone/)
  t.regex(listed.stdout, /busybox:latest +"sh -c exit 3" +\S.* ago +Exited \(3\) \S.* ago +stays/)
  t.is((await dolly(['rm', '-q', 'stays'])).stdout, 'stays')
  t.notRegex((await dolly(['ps', '-a'])).stdout, /stays/)
})

const refused: [name: string, args: string[], says: RegExp][] = [
  ['imageless', ['no-such-image'], /no-such-image/],
  ['lunar', ['--network', 'moon', 'busybox'], /network_mode/],
  ['unlimited', ['--ulimit', 'nofiles=3', 'busybox'], /ulimits\.nofiles/],
]

for (const [name, args, says] of refused) {
  test(`run ${args.join(' ')} fails with 125, in one line, and leaves nothing`, async (t) => {
    const { exitCode, stderr, stdout } = await dolly(['run', '-q', '--name', name, ...args])
    t.is(exitCode, 125)
    t.regex(stderr, /^dolly: cannot [^\n]+$/)
    t.regex(stderr, says)
    t.is(stdout, '')
    t.notRegex((await dolly(['ps', '-a'])).stdout, new RegExp(` ${name}$`, 'm'))
  })
}

test('a name in use is refused by name', async (t) => {
  await dolly(['create', '-q', '--name', 'taken', 'busybox', 'true'])
  const { exitCode, stderr } = await dolly(['run', '-q', '--name', 'taken', 'busybox', 'true'])
  t.is(exitCode, 125)
  t.regex(stderr, /the name "taken" is in use/)
})

test('a signal to dolly reaches the process, whose exit code is the answer', async (t) => {
  const script = 'trap "echo caught; exit 5" TERM; echo ready; while :; do sleep 0.05; done'
  const child = execa(program, ['run', '--rm', '-q', 'busybox', 'sh', '-c', script], {
    env: environmentOf(stack),
    reject: false,
    timeout: patienceMs(30_000),
  })
  await Promise.race([once(child.stdout, 'data'), child])
  child.kill('SIGTERM')
  const { stdout, exitCode, shortMessage } = await child
  t.is(exitCode, 5, shortMessage)
  t.is(stdout, 'ready\ncaught')
})

test('a killed container makes run exit 137', async (t) => {
  const running = dolly(['run', '-q', '--name', 'victim', 'busybox', 'sleep', '1000'])
  await eventually('it runs', async () => / Up .* victim/.test((await dolly(['ps'])).stdout))
  t.is((await dolly(['kill', 'victim'])).stdout, 'victim')
  t.is((await running).exitCode, 137)
})

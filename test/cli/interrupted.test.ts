import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { execa } from 'execa'
import { followSize } from '../../services/cli/commands/attach/terminal.ts'
import { upload } from '../../services/cli/commands/images/upload.ts'
import { findProcesses } from '../../services/cli/stack/process-table.ts'
import { patienceMs } from '../../shared/patience.ts'
import { pidOf, signal } from '../helpers/fault-processes.ts'
import { type Stack, eventually, startStack } from '../helpers/stack.ts'
import { type Dolly, dollyOf, environmentOf, program } from './dolly.ts'

let stack: Stack
let dolly: Dolly

test.before(async () => {
  stack = await startStack()
  dolly = dollyOf(stack)
})
test.after.always(() => stack?.[Symbol.asyncDispose]())

const isListed = async (name: string) => (await dolly(['ps', '-a'])).stdout.includes(name)
const isGone = (name: string) => eventually(`${name} is gone`, async () => !(await isListed(name)), 20_000)
const shell = (line: string) =>
  execa('bash', ['-c', line], { env: environmentOf(stack), reject: false, timeout: patienceMs(30_000) })
const directory = (t: ExecutionContext): string => {
  const path = mkdtempSync(join(tmpdir(), 'dolly-test-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

test.serial('Ctrl-C while a launch is under way ends dolly, and the container', async (t) => {
  const namespace = (await pidOf(stack.config, 'namespace')) ?? 0
  t.teardown(() => signal(namespace, 'SIGCONT'))
  signal(namespace, 'SIGSTOP')
  const child = execa('script', ['-qefc', `${program} run --name halted busybox sleep 1000`, '/dev/null'], {
    env: { ...environmentOf(stack), SHELL: '/bin/sh' },
    reject: false,
    timeout: patienceMs(20_000),
    stdin: 'pipe',
  })
  await eventually('it is being made', () => isListed('halted'))
  child.stdin?.write('\x03')
  const { exitCode, timedOut } = await child
  t.false(timedOut)
  t.is(exitCode, 130)
  signal(namespace, 'SIGCONT')
  await isGone('halted')
})

test.serial('with --rm a container goes whatever becomes of the client', async (t) => {
  const { stdout } = await shell(`${program} run --rm -q --name piped busybox seq 1 1000000 | head -1`)
  t.is(stdout, '1')
  await isGone('piped')
  const child = execa(
    program,
    ['run', '--rm', '-q', '--name', 'orphan', 'busybox', 'sh', '-c', 'echo on; sleep 3'],
    {
      env: environmentOf(stack),
      reject: false,
    },
  )
  await Promise.race([once(child.stdout, 'data'), child])
  child.kill('SIGKILL')
  await child
  t.true(await isListed('orphan'))
  await isGone('orphan')
})

test.serial('with --rm nothing stays when the steps can be shown no more', async (t) => {
  const { exitCode } = await shell(
    `${program} run --rm --name unseen busybox sleep 1000 2>&1 | true; exit \${PIPESTATUS[0]}`,
  )
  t.is(exitCode, 141)
  await isGone('unseen')
})

test.serial('run and wait end with a container that somebody else deletes', async (t) => {
  const running = dolly(['run', '-q', '--name', 'deleted', 'busybox', 'sleep', '1000'])
  await eventually('it runs', async () => (await dolly(['ps'])).stdout.includes('deleted'))
  const waiting = dolly(['wait', 'deleted'])
  t.is((await dolly(['rm', '-f', '-q', 'deleted'])).exitCode, 0)
  t.is((await running).exitCode, 137)
  const waited = await waiting
  t.like(waited, { stdout: '137', exitCode: 0 }, waited.stderr)
})

test.serial('the same create again starts one that has ended once more', async (t) => {
  const again = () => dolly(['run', '-q', '--id', 'again', 'busybox', 'sh', '-c', 'echo ran; exit 3'])
  for (const { stdout, exitCode } of [await again(), await again()]) {
    t.is(stdout, 'ran')
    t.is(exitCode, 3)
  }
})

test.serial('wait answers at once of what has ended and is gone, and of what never ran', async (t) => {
  const { stdout: id } = await dolly(['run', '-q', '-d', '--rm', 'busybox', 'sh', '-c', 'exit 4'])
  await isGone(id)
  t.like(await dolly(['wait', id]), { stdout: '4', exitCode: 0 })
  const failed = await dolly(['run', '-q', '-d', '--id', 'never-ran', 'busybox', 'no-such-command'])
  t.is(failed.exitCode, 127)
  const { stderr, exitCode } = await dolly(['wait', 'never-ran'])
  t.is(exitCode, 1)
  t.is(stderr, 'dolly: cannot wait for never-ran: it ended without an exit code (failed)')
})

test('output that cannot be written ends in one line', async (t) => {
  const { stderr, exitCode } = await shell(`${program} schema --json > /dev/full`)
  t.is(stderr, 'dolly: cannot write to standard output: no space left on device')
  t.is(exitCode, 1)
  t.is((await shell(`${program} schema --json | true; exit \${PIPESTATUS[0]}`)).exitCode, 141)
  t.is((await shell(`${program} ps --no-such-flag 2> /dev/full`)).exitCode, 1)
})

test('a tar that cannot be read is refused before anything is sent', async (t) => {
  await t.throwsAsync(upload(stack.bus, stack.config.node, '/no/such.tar'), {
    code: 'invalid_message',
    message: /cannot read \/no\/such\.tar: ENOENT/,
  })
})

test('standard input that is being kept goes with the command', async (t) => {
  const TMPDIR = directory(t)
  const env = { ...environmentOf(stack), TMPDIR }
  const child = spawn(program, ['image', 'import', 'kept', '-'], { env, stdio: ['pipe', 'ignore', 'ignore'] })
  child.stdin?.write('x'.repeat(100_000))
  await eventually('it is being kept', () => readdirSync(TMPDIR).length > 0)
  child.kill('SIGINT')
  const [code] = (await once(child, 'exit')) as [number]
  t.is(code, 130)
  t.deepEqual(readdirSync(TMPDIR), [])
  const wrong = await dolly(['image', 'import', 'kept', '-'], { env: { TMPDIR: '/no/such' }, input: 'x' })
  t.is(wrong.exitCode, 1)
  t.regex(wrong.stderr, /^dolly: cannot keep anything in \/no\/such: ENOENT[^\n]*$/)
  t.notRegex(wrong.stderr, /bug/)
})

test.serial('cp ends when what unpacks is killed, and leaves nothing', async (t) => {
  await dolly([
    'run',
    '-q',
    '--name',
    'source',
    'busybox',
    'dd',
    'if=/dev/zero',
    'of=/large',
    'bs=1M',
    'count=300',
  ])
  const to = directory(t)
  const copying = dolly(['cp', 'source:/large', `${to}/`])
  const unpacking = () => findProcesses((args) => args[0] === 'tar' && args.some((arg) => arg.startsWith(to)))
  await eventually('it unpacks', async () => (await unpacking()).length > 0)
  for (const { pid } of await unpacking()) signal(pid, 'SIGKILL')
  const { exitCode, stderr } = await copying
  t.is(exitCode, 1)
  t.regex(stderr, /^dolly: cannot [^\n]+$/)
  t.deepEqual(readdirSync(to), [])
  t.false(existsSync(join(to, 'large')))
})

test('a terminal that does not know its size tells none', async (t) => {
  const told: object[] = []
  const terminal = { isTTY: true, rows: 0, columns: 0, on: () => {}, off: () => {} } as never
  using _ = await followSize(async (size) => void told.push(size), terminal)
  t.deepEqual(told, [])
})

test('help on a command shows its flags', async (t) => {
  t.regex((await dolly(['help', 'run'])).stdout, /--detach-keys/)
})

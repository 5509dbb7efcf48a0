import { execFile, spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import { waitFor } from '../../services/namespace/bounded-wait.ts'
import { type Operation, encodePlan } from '../../services/namespace/operation.ts'
import { nativeProgram } from '../../services/namespace/native-program.ts'
import { parseReport } from '../../services/namespace/report.ts'
import { run } from '../../shared/recorder.ts'
import { namespaceHost } from './namespace-host.ts'

const native = dirname(nativeProgram)
const builds = { release: nativeProgram, sanitized: join(native, 'dolly-init-sanitize') }

test.before(() => run('make', ['-s', '-C', native, 'all', 'sanitize'], { timeoutMs: 120_000 }))

const said = async (file: string, args: string[]) => {
  try {
    const { stderr } = await promisify(execFile)(file, args)
    return { code: 0, stderr }
  } catch (error) {
    const { code, stderr } = error as { code: number; stderr: string }
    return { code, stderr }
  }
}

const text = (...strings: string[]) => Buffer.from(strings.map((string) => `${string}\0`).join(''))
const wellFormed = encodePlan([['clone'], ['wait', '0'], ['exec', 'true']])

const malformed: [name: string, plan: Buffer, complaint: RegExp][] = [
  ['is empty', Buffer.alloc(0), /a plan is a file of 1 to/],
  ['does not end with NUL', wellFormed.subarray(0, -1), /no terminating NUL/],
  ['breaks off after a name', text('clone', '0', 'exec'), /bad argument count/],
  ['breaks off in the arguments', text('clone', '0', 'exec', '2', 'a'), /missing arguments/],
  [
    'has an unknown operation',
    text('clone', '0', 'dance', '0', 'exec', '1', 'a'),
    /unknown operation at byte 8/,
  ],
  [
    'has too few arguments',
    text('clone', '0', 'mkdir', '1', '/a', 'exec', '1', 'a'),
    /wrong number of arguments/,
  ],
  [
    'has too many arguments',
    text('clone', '0', 'session', '1', 'x', 'exec', '1', 'a'),
    /wrong number of arguments/,
  ],
  ['has a count that is no number', text('clone', '-1'), /bad argument count/],
  ['has an overflowing count', text('clone', '0', 'exec', '18446744073709551617', 'a'), /bad argument count/],
  ['has a huge count', text('clone', '0', 'exec', '65535', 'a'), /wrong number of arguments/],
  ['lacks clone', text('exec', '1', 'a'), /no clone/],
  ['clones twice', text('clone', '0', 'clone', '0', 'exec', '1', 'a'), /a second clone/],
  ['does not end in exec', text('clone', '0', 'session', '0'), /no exec at the end/],
  ['does not wait', text('clone', '0', 'session', '0', 'exec', '1', 'a'), /no wait before the exec/],
  ['waits in the runtime', text('wait', '1', '0', 'clone', '0', 'exec', '1', 'a'), /no wait before the exec/],
  [
    'has too many operations',
    text(...Array.from({ length: 600 }, () => ['session', '0']).flat()),
    /too many/,
  ],
  [
    'has too many arguments in all',
    text(
      'clone',
      '0',
      ...Array.from({ length: 3 }, () => ['env', '30000', ...Array<string>(30_000).fill('a')]).flat(),
    ),
    /too many/,
  ],
  ['is larger than 4 MiB', Buffer.alloc(5 * 2 ** 20), /a plan is a file of 1 to/],
]

for (const [build, program] of Object.entries(builds)) {
  test(`${build}: a malformed plan is refused whole, with its place`, async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'dolly-plan-'))
    t.teardown(() => rm(directory, { recursive: true }))
    const file = join(directory, 'plan')
    for (const [name, plan, complaint] of malformed) {
      await writeFile(file, plan)
      const { code, stderr } = await said(program, ['check', file])
      t.is(code, 1, `a plan that ${name}`)
      t.regex(stderr, complaint, `a plan that ${name}`)
      t.is(stderr.trim().split('\n').length, 1, 'one line, no sanitizer report')
    }
    await writeFile(file, wellFormed)
    t.deepEqual(await said(program, ['check', file]), { code: 0, stderr: '' })
  })

  test(`${build}: an operation with bad arguments fails, is reported and leaves no process`, async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'dolly-plan-'))
    t.teardown(() => rm(directory, { recursive: true }))
    const bad: Operation[] = [
      ['write', '999', 'x'],
      ['write', '5', 'x'],
      ['open', '128', 'read', '/'],
      ['open', '0', 'sideways', '/'],
      ['owner', '0', '/no/such/namespace'],
      ['enter', 'nonsense', '0'],
      ['enter', 'user', '63'],
      ['stdio', 'nobody'],
      ['ceiling', 'nonsense', '1'],
      ['idmap', '1', '2'],
      ['file-system', '128', 'tmpfs', 'none', '', ''],
      ['node', '1', 'null', '0666', '1', '3', '0', '0'],
      ['rlimit', 'nonsense', '1', '1'],
      ['rlimit', 'nofile', '-1', '1'],
      ['mount', 'nosuchfs', 'none', '/tmp', '', '', 'plain'],
      ['mount', 'tmpfs', 'none', '/tmp', 'nonsense', '', 'plain'],
      ['bounding', 'x'],
      ['proc-write', join(directory, 'plan'), '1'],
      ['umask', '9x'],
      ['seccomp', '0'],
      ['resolve', 'x'.repeat(5000)],
      ['wait', '7'],
    ]
    for (const operation of bad) {
      await writeFile(
        join(directory, 'plan'),
        encodePlan([['clone', 'mount'], operation, ['wait', '0'], ['exec', 'true']]),
      )
      const args = ['create', '--bundle', directory, '--pid-file', join(directory, 'pid'), 'id']
      const { code, stderr } = await said(program, args)
      t.is(code, 125, operation.join(' '))
      t.regex(stderr, new RegExp(`^dolly-init: cannot ${operation[0]}`))
      t.regex(await readFile(join(directory, 'report'), 'utf8'), /^0 0 \d+\n1 [1-9]\d* \d+/)
      t.is(await readFile(join(directory, 'pid'), 'utf8'), '')
    }
  })
}

test('sanitized: a whole container’s plan is enacted without a report, and its command runs', async (t) => {
  await using host = await namespaceHost()
  await host.make('x', { args: ['sh', '-c', 'echo from inside > /said'], ownNetwork: true, tmpfs: ['/run'] })
  t.is(await host.exitCode('x'), 0)
  const paths = host.paths('x')
  const made = join(host.rootfs, 'said')
  await rm(made)
  const pidFile = join(paths.directory, 'sanitized.pid')
  const complaints = join(paths.directory, 'complaints')
  // Files: init inherits them, and a pipe would not end before it does.
  const output = openSync(complaints, 'w')
  const { status } = spawnSync(
    builds.sanitized,
    ['create', '--bundle', paths.directory, '--pid-file', pidFile, 'x'],
    // A check for leaks traces the program, which is not dumpable.
    { stdio: ['ignore', output, output], env: { ASAN_OPTIONS: 'detect_leaks=0' } },
  )
  closeSync(output)
  t.deepEqual([status, await readFile(complaints, 'utf8')], [0, ''])
  const report = parseReport(await readFile(paths.report, 'utf8'))
  t.true(report.length > 60)
  t.deepEqual(
    report.filter(({ errno }) => errno !== 0),
    [],
  )
  await writeFile(paths.fifo, '')
  const heard = await waitFor(() => (existsSync(made) && readFileSync(made, 'utf8')) || undefined, 10_000)
  t.is(heard, 'from inside\n')
})

test('usage errors say how to use it', async (t) => {
  for (const args of [[], ['dance'], ['create'], ['create', '--bundle'], ['attach'], ['check']]) {
    const { code, stderr } = await said(nativeProgram, args)
    t.is(code, 125)
    t.regex(stderr, /^usage: dolly-init/)
  }
})

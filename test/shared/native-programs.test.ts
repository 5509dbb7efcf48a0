import { mkdir, mkdtemp, readFile, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { execa } from 'execa'
import fc from 'fast-check'
import { defaultDeviceRules } from '../../services/cgroup/device-rules.ts'
import { deviceProgram } from '../../services/cgroup/device-program.ts'
import { projectDirectory } from '../../services/cli/stack/project.ts'
import { type Coprocess, createCoprocess } from '../../shared/coprocess.ts'
import { readMountTable } from '../../shared/mount-table.ts'
import { run } from '../../shared/recorder.ts'
import { storageStack } from '../storage/storage-stack.ts'

const seed = Number(process.env['DOLLY_FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const requests = Number(process.env['DOLLY_FUZZ_REQUESTS'] ?? 400)
const native = (service: string) => join(projectDirectory, 'services', service, 'native')
const services = ['storage', 'network', 'cgroup', 'namespace']

test.before(async () => {
  for (const service of services)
    await run('make', ['-s', '-C', native(service), 'all', 'sanitize'], { timeoutMs: 120_000 })
})

const sanitized = (service: string, name: string) => join(native(service), `${name}-sanitize`)

/** In a mount and a network namespace of its own: whatever it makes goes with it. */
const alone = (t: ExecutionContext, program: string): Coprocess => {
  const links = 'ip link add bridge type bridge && ip link add spare index 1000 type bridge'
  const inside = `mount -t tmpfs fresh /run && mkdir /run/netns && ${links} && exec "$0"`
  const one = createCoprocess('/usr/bin/unshare', () => ['--mount', '--net', 'sh', '-c', inside, program])
  t.teardown(() => one.end())
  return one
}

const expectDone = async (t: ExecutionContext, one: Coprocess, tasks: readonly string[][]) => {
  for (const words of tasks) t.is((await one.ask(words, 20_000)).errno, 0, words.join(' '))
}

/** Each word as it is or spoilt; none leads anywhere but below where it led before. */
const spoilt = (words: readonly string[]): fc.Arbitrary<string[]> => {
  const garbage = fc.oneof(
    fc.constantFrom('x'.repeat(5000), '9'.repeat(30), '-1', '0x10', '%n%s', '\u{1f600}'.repeat(300), 'ü\n'),
    fc.string({ maxLength: 30 }).map((text) => text.replaceAll('\0', '')),
    fc.nat().map(String),
  )
  const spoil = (word: string) =>
    word.startsWith('/') ? garbage.map((text) => `${word}/${text}`) : fc.oneof(garbage, fc.constant(''))
  const each = words.map((word) =>
    fc.oneof({ weight: 5, arbitrary: fc.constant(word) }, { weight: 2, arbitrary: spoil(word) }),
  )
  const more = fc.array(garbage, { maxLength: 3 })
  return fc
    .tuple(fc.tuple(...each), more, fc.nat({ max: words.length }), fc.nat({ max: 9 }))
    .map(([all, rest, cut, chance]) =>
      chance === 0 ? all.slice(0, cut + 1) : chance === 1 ? [...all, ...rest] : all,
    )
}

/** A sanitizer that finds something ends the program, without an answer. */
const expectAnswered = async (t: ExecutionContext, one: Coprocess, honest: readonly string[][]) => {
  t.log(`seed ${seed}`)
  const sample = fc.sample(fc.oneof(...honest.map(spoilt)), { numRuns: requests, seed })
  const refused = await Promise.all(
    sample.map(async (words) => {
      const { errno } = await one.ask(words, 30_000).catch((error: unknown) => {
        throw new Error(`${String(error)} to ${JSON.stringify(words).slice(0, 500)}`)
      })
      return errno !== 0
    }),
  )
  t.true(refused.filter(Boolean).length > requests / 10)
}

test('dolly-btrfs does its tasks and answers spoilt ones under the sanitizers', async (t) => {
  t.timeout(120_000)
  await using stack = await storageStack()
  const one = alone(t, sanitized('storage', 'dolly-btrfs'))
  const directory = join(stack.config.names.cowfs, 'tasks')
  await mkdir(directory)
  const made = join(directory, 'made')
  const tasks = [
    ['create', directory, 'made'],
    ['snapshot', made, directory, 'copy', '0'],
    ['snapshot', made, directory, 'limited', '1048576'],
    ['limit', made, '1048576'],
    ['limit-nested', made, '1048576'],
    ['resolve', directory, 'made/../copy'],
    ['lift', made],
    ['sweep', directory],
    ['delete', directory, 'limited'],
    ['delete', directory, 'copy'],
    ['delete', directory, 'made'],
  ]
  await expectDone(t, one, tasks)
  const outside = await mkdtemp(join(tmpdir(), 'dolly-test-tasks-'))
  t.teardown(() => rm(outside, { recursive: true }))
  await expectAnswered(
    t,
    one,
    tasks.map((words) => words.map((word) => word.replace(directory, outside))),
  )
})

test('dolly-netns does its tasks and answers spoilt ones under the sanitizers', async (t) => {
  t.timeout(120_000)
  const one = alone(t, sanitized('network', 'dolly-netns'))
  const link = ['dtestveth', 'bridge', 'alias', '10.0.0.2', '24', '10.0.0.1', '02:00:00:00:00:01', 'isolated']
  const ids = ['2181038080', '65536']
  await expectDone(t, one, [
    ['make', '/run/netns/bare', '0', '0'],
    ['make', '/run/netns/wired', ...ids, ...link],
    ['delete', '1000'],
    ['delete', '1000'],
  ])
  await expectAnswered(t, one, [
    ['make', '/run/netns/one', '0', '0'],
    ['make', '/run/netns/two', ...ids],
    ['make', '/run/netns/three', ...ids, ...link],
    ['delete', '1000'],
  ])
})

test('dolly-devices does its tasks and answers spoilt ones under the sanitizers', async (t) => {
  t.timeout(120_000)
  const one = alone(t, sanitized('cgroup', 'dolly-devices'))
  const unifiedRoot = (await readMountTable()).find(({ fsType }) => fsType === 'cgroup2')?.mountPoint
  const directory = join(unifiedRoot ?? tmpdir(), `dolly-test-devices-${process.pid}`)
  await mkdir(directory)
  t.teardown(() => rmdir(directory))
  const attach = ['attach', directory, 'dolly_test', deviceProgram(defaultDeviceRules).toString('hex')]
  if (unifiedRoot) await expectDone(t, one, [attach, attach])
  await expectAnswered(t, one, [attach])
})

const u32 = (size: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(size)
  return bytes
}
const broken: [string, Buffer][] = [
  ['no size', Buffer.from([1])],
  ['a size of nothing', u32(0)],
  ['a size of four gigabytes', Buffer.concat([u32(2 ** 32 - 1), Buffer.from('1\0')])],
  ['less than its size', Buffer.concat([u32(100), Buffer.from('1\0make\0')])],
  ['no NUL at its end', Buffer.concat([u32(4), Buffer.from('1\0xx')])],
  ['too many words', Buffer.concat([u32(65_536), Buffer.alloc(65_536)])],
]

test('a request with a wrong frame ends a program, without a word of the sanitizers', async (t) => {
  const programs = [
    ['storage', 'dolly-btrfs'],
    ['network', 'dolly-netns'],
    ['cgroup', 'dolly-devices'],
  ] as const
  for (const [service, name] of programs)
    for (const [what, input] of broken) {
      const { exitCode, stderr } = await execa(sanitized(service, name), [], { input, reject: false })
      t.true(exitCode === 0 || exitCode === 1, `${name}, ${what}: exit ${exitCode}`)
      t.is(stderr, '', `${name}, ${what}`)
    }
})

test('no native program has a heap of its own, so none can grow with its input', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'dolly-test-objects-'))
  t.teardown(() => rm(directory, { recursive: true }))
  for (const service of services) {
    const makefile = await readFile(join(native(service), 'Makefile'), 'utf8')
    const listed = /^SOURCES = (.*)$/m
      .exec(makefile)?.[1]
      ?.replaceAll('$(COPROCESS)', '../../../shared/native')
    for (const source of [...(listed?.split(' ') ?? []), ...(service === 'namespace' ? ['seccomp.c'] : [])]) {
      const object = join(directory, 'object.o')
      const include = join(projectDirectory, 'shared/native')
      await run('gcc', ['-std=c11', '-O1', `-I${include}`, '-c', '-o', object, join(native(service), source)])
      t.notRegex(
        await run('nm', ['--undefined-only', object]),
        /\b(\w*alloc\w*|strn?dup|v?asprintf|opendir|scandir|fopen|getline|glob|getpw\w+|getgr\w+)$/m,
        source,
      )
    }
  }
})

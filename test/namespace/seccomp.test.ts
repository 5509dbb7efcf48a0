import { readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import test from 'ava'
import fc from 'fast-check'
import { nativeProgram } from '../../services/namespace/native-program.ts'
import { circumstancesOf, rulesOf } from '../../services/namespace/seccomp/rules.ts'
import { SeccompProfile } from '../../shared/contracts/seccomp.ts'
import { run } from '../../shared/recorder.ts'
import { namespaceHost } from './namespace-host.ts'

const native = dirname(nativeProgram)
const compiler = join(native, 'dolly-seccomp-sanitize')
const seed = Number(process.env['DOLLY_FUZZ_SEED'] ?? Date.now() % 2 ** 31)

test.before(() => run('make', ['-s', '-C', native, 'sanitize'], { timeoutMs: 120_000 }))

const equals = (index: number, value: number) => ({ index, value, op: 'SCMP_CMP_EQ' })
/** A profile of so many rules for one call, as a client may send it. */
const profileOf = (count: number, argumentsOf: (n: number) => object[]) => ({
  defaultAction: 'SCMP_ACT_ERRNO',
  architectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  syscalls: Array.from({ length: count }, (_, n) => ({
    names: ['read'],
    action: 'SCMP_ACT_ALLOW',
    args: argumentsOf(n),
  })),
})

test('a profile that takes minutes to compile is given up, and one that the kernel cannot hold is refused', async (t) => {
  await using host = await namespaceHost()
  const kept = () => readdirSync(host.config.names.filters).length
  const before = kept()
  const minutes = profileOf(2000, (n) => [equals(0, n), equals(1, n * 7), equals(2, n * 3)])
  await t.throwsAsync(host.make('slow', { seccomp: minutes }), {
    code: 'invalid_message',
    message: /cannot compile the seccomp profile: .*too large: it takes more than 5 s of a processor/,
  })
  const socketcalls = Array.from({ length: 2000 }, () => ({
    names: ['socketcall'],
    action: 'SCMP_ACT_ERRNO',
  }))
  const long = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: socketcalls }
  await t.throwsAsync(host.make('long', { seccomp: long }), {
    code: 'invalid_message',
    message: /cannot compile the seccomp profile: .*cannot write the filter: File too large/,
  })
  t.is(kept(), before, 'neither is kept')
})

test('containers that come at once with a profile that is new wait for one compilation', async (t) => {
  await using host = await namespaceHost()
  const syscalls = [{ names: ['swapon'], action: 'SCMP_ACT_ERRNO' }]
  const wish = { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls } }
  const before = readdirSync(host.config.names.filters).length
  await t.notThrowsAsync(Promise.all(['a', 'b', 'c', 'd'].map((id) => host.make(id, wish))))
  t.is(readdirSync(host.config.names.filters).length, before + 1)
})

const honest = rulesOf(SeccompProfile.parse(profileOf(3, (n) => [equals(n, n)])), circumstancesOf([])).split(
  '\n',
)
const token = fc.oneof(
  fc.constantFrom('rule', 'arch', 'socketcall', 'default', 'read', 'x86', '7', '-1', '4294967296', '%n%s'),
  fc.constantFrom('9'.repeat(400), 'x'.repeat(70), 'x'.repeat(600), '18446744073709551616', '\0', '\ud800'),
  fc.string({ maxLength: 20 }),
  fc.nat().map(String),
)
const line = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...honest) },
  fc.array(token, { maxLength: 30 }).map((words) => words.join(' ')),
  fc
    .tuple(fc.constantFrom('rule', 'socketcall', 'arch'), fc.array(token, { maxLength: 28 }))
    .map(([name, words]) => [name, ...words].join(' ')),
)
const rules = fc
  .tuple(
    fc.constantFrom(...Array<string>(8).fill(honest[0] ?? ''), 'default', 'default x', ''),
    fc.array(line, { maxLength: 8 }),
  )
  .map((lines) => lines.flat().join('\n'))

test('two hundred spoilt sets of rules are compiled or refused under the sanitizers', async (t) => {
  t.timeout(120_000)
  t.log(`seed ${seed}`)
  const directory = await mkdtemp(join(tmpdir(), 'dolly-test-rules-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const codes: Record<number, number> = {}
  for (const input of fc.sample(rules, { numRuns: 200, seed })) {
    const { exitCode = -1, stderr } = await execa(compiler, [join(directory, 'filter')], {
      input: Buffer.from(input),
      reject: false,
      env: { ASAN_OPTIONS: 'detect_leaks=0' },
    })
    codes[exitCode] = (codes[exitCode] ?? 0) + 1
    t.true(exitCode === 0 || exitCode === 125, `exit ${exitCode} of ${JSON.stringify(input)}: ${stderr}`)
    t.notRegex(stderr, /Sanitizer|runtime error/)
  }
  t.log(JSON.stringify(codes))
  t.true((codes[0] ?? 0) > 0 && (codes[125] ?? 0) > 0)
})

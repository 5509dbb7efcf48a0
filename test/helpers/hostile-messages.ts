import fc from 'fast-check'
import { z } from 'zod'
import { publicMessages, verbs } from '../../shared/contracts/verbs.ts'
import { durableCommands } from '../../shared/subjects.ts'

/** One message that a client may publish, whatever it holds. */
export interface Hostile {
  subject: string
  body: Uint8Array
  headers: Record<string, string>
}

/** Commands about one container wait for each other. */
const mostIds = 2000
const utf8 = new TextEncoder()
const megabyte = 2 ** 20

/** Values that are wrong somewhere, or right where nobody expects them. */
const nastyValues: unknown[] = [
  null,
  true,
  -1,
  0,
  0.1,
  1e308,
  -1e308,
  2 ** 31,
  2 ** 53 + 1,
  Number.MAX_SAFE_INTEGER,
  '',
  ' ',
  '\0',
  'a\nb',
  '\ud800',
  '\u202egnp.exe',
  '\ufeff',
  'ａｌｐｉｎｅ',
  'İ'.repeat(200),
  '👩‍👩‍👧‍👦'.repeat(50),
  'x'.repeat(70_000),
  '../../../etc/passwd',
  '/proc/self/root',
  '/dev/null\0x',
  '$(reboot)',
  '`reboot`; reboot',
  '%s%n%x',
  '*',
  '>',
  'a.*.b',
  '$JS.API.STREAM.PURGE.EVENTS',
  '9'.repeat(400),
  '1e999G',
  '-5M',
  'NaN',
  '__proto__',
  [],
  {},
  [[[[[[]]]]]],
  Array.from({ length: 5000 }, () => 0),
  Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`k${index}`, index])),
  { toString: null, valueOf: 'x', hasOwnProperty: 1, then: true },
]

/** Bodies that are no object at all, or none that a parser likes. */
const rawBodies: Uint8Array[] = [
  '',
  ' ',
  'null',
  'true',
  '0',
  '-0',
  '1e999',
  '"x"',
  '[]',
  '{',
  '{"id": ',
  '{"id":"a","id":"b"}',
  '{"__proto__":{"force":true,"id":"polluted"}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
  '{"container":{"__proto__":{"polluted":true}}}',
  `{"image":${'9'.repeat(400)}}`,
  '\ufeff{}',
  "{'id': 1}",
  '{"id":1,}',
  'NaN',
  '\0',
  '['.repeat(50_000),
  `${'['.repeat(50_000)}${']'.repeat(50_000)}`,
  `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`,
  `"${'\\u0000'.repeat(5000)}"`,
].map((text) => utf8.encode(text))

const binaryBodies = [
  Uint8Array.from([0xff, 0xfe, 0x7b, 0x00]),
  Uint8Array.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d]),
  Uint8Array.from([0x22, 0xed, 0xa0, 0x80, 0x22]),
  Uint8Array.from([0x1f, 0x8b, 0x08, 0x00]),
]

/** As much as the server lets through, so rarely that the run stays short. */
const largeBodies = [
  new Uint8Array(megabyte - 4096),
  utf8.encode(`{"image":"${'x'.repeat(megabyte - 8192)}"}`),
  utf8.encode(`{"container":["${'",\u0022'.repeat(200_000)}"]}`),
]

const nastyHeaders: Record<string, string>[] = [
  { 'Nats-Expected-Stream': 'EVENTS' },
  { 'Nats-Expected-Last-Sequence': '1' },
  { 'Nats-Expected-Last-Sequence': 'x' },
  { 'Nats-Expected-Last-Subject-Sequence': '18446744073709551616' },
  { 'Nats-Expected-Last-Msg-Id': 'nobody' },
  { 'Nats-Rollup': 'all' },
  { 'Nats-Rollup': 'sub' },
  { 'Nats-TTL': '1s' },
  { 'Nats-TTL': 'never' },
  { 'Nats-Batch-Id': 'b', 'Nats-Batch-Sequence': '1' },
  { 'Nats-Batch-Id': 'b', 'Nats-Batch-Sequence': '1', 'Nats-Batch-Commit': '1' },
  { 'Nats-Schedule': '@every 1s', 'Nats-Schedule-Target': 'append.container.a' },
  { 'Nats-Incr': '1' },
  { 'KV-Operation': 'PURGE' },
  { 'Dolly-Fence': '-1' },
  { 'Dolly-Fence': 'NaN' },
  { 'Dolly-Inject': 'before-act' },
  { 'Nats-Service-Error': 'forged', 'Nats-Service-Error-Code': '200' },
  { 'Nats-Msg-Id': 'x'.repeat(4000) },
  { 'Nats-Msg-Id': ' ' },
  { 'Nats-Msg-Id': 'ünïcödé ✓' },
  { 'Nats-Msg-Id': 'append.container.a > *' },
  { 'Content-Encoding': 'gzip' },
]

/** A message of each subject that means something, to be spoilt. The image is not there, so that none makes a container. */
const wholesome: Record<string, object> = {
  'container.create': { id: 'fuzzed', image: 'nowhere', command: ['true'], restart: 'no' },
  'container.delete': { id: 'fuzzed', force: true },
  'container.stop': { container: 'target', timeoutMs: 1, signal: 'SIGTERM' },
  'container.kill': { container: 'target', signal: 'SIGCONT' },
  'container.exec': {
    container: 'target',
    args: ['true'],
    env: ['A=b'],
    cwd: '/',
    user: '',
    terminal: false,
  },
  'container.exec-start': { container: 'target', execId: 'nobody' },
  'container.exec-wait': { container: 'target', execId: 'nobody', timeoutMs: 1 },
  'container.list': { all: true },
  'image.list': { node: undefined },
  'node.leaks': { node: undefined },
  'saga.list': { all: true },
}

const commandSubjects: readonly string[] = durableCommands
const verbSubjects = Object.values(verbs)
  .filter(({ role }) => role === 'client')
  .map(({ subject }) => subject)

/** Values that are right somewhere. */
const plausibleValues: unknown[] = [
  1,
  1000,
  false,
  '0',
  '1',
  'a',
  'none',
  'host',
  'lab',
  'always',
  'on-failure:3',
  'target',
  'nowhere:1',
  '512M',
  '1h',
  'SIGTERM',
  'KILL',
  '127.0.0.1',
  '/tmp',
  'root:root',
  ['true'],
  ['A=b'],
  ['ALL'],
  { a: '1' },
  { nofile: 5 },
  { nofile: { soft: 9, hard: 5 } },
  { 'net.ipv4.ip_forward': 1 },
  { inject: [{ step: 'storage', point: 'before-act', action: 'kill-service' }] },
]

const strangeKeys = ['__proto__', 'constructor', '', 'toString', 'a.b', '\0', 'Image', 'x'.repeat(5000)]

/** The keys that a message of this subject may have. */
const keysOf = (subject: string): string[] => {
  const schema = publicMessages[subject]
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : ['id', 'name', 'force']
}

const nasty = fc.constantFrom(...nastyValues)
const value = fc.oneof(
  { weight: 4, arbitrary: nasty },
  { weight: 8, arbitrary: fc.constantFrom(...plausibleValues) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 4, noUnicodeString: false }) },
)

/** An object with own keys only: `__proto__` is one of them here, as it is in JSON. */
const spoilt = (base: object, changes: [string, unknown][]): string => {
  const entries = new Map([...Object.entries(base), ...changes])
  const members = [...entries].flatMap(([key, member]) => {
    const text = JSON.stringify(member)
    return text === undefined ? [] : [`${JSON.stringify(key)}:${text}`]
  })
  return `{${members.join(',')}}`
}

const changeOf = (subject: string): fc.Arbitrary<[string, unknown]> => {
  const key = fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...keysOf(subject)) },
    { weight: 1, arbitrary: fc.constantFrom(...strangeKeys) },
  )
  // A node that nobody is takes its five seconds to be found missing: such names are for other keys.
  return key.chain((name) => fc.tuple(fc.constant(name), name === 'node' ? nasty : value))
}

const spoiltBody = (subject: string): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(fc.nat(mostIds), fc.array(changeOf(subject), { minLength: 1, maxLength: 2 }))
    .map(([n, changes]) => {
      const whole = wholesome[subject] ?? { container: 'target' }
      const id = 'id' in whole ? { id: `fuzzed-${n}` } : {}
      return utf8.encode(spoilt({ ...whole, ...id }, changes))
    })

const bodyFor = (subject: string): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    { weight: 140, arbitrary: spoiltBody(subject) },
    { weight: 20, arbitrary: fc.json({ maxDepth: 6 }).map((text) => utf8.encode(text)) },
    { weight: 30, arbitrary: fc.constantFrom(...rawBodies, ...binaryBodies) },
    { weight: 10, arbitrary: fc.uint8Array({ maxLength: 300 }) },
    { weight: 1, arbitrary: fc.constantFrom(...largeBodies) },
  )

const headersOf = fc.oneof(
  { weight: 8, arbitrary: fc.constant({}) },
  { weight: 2, arbitrary: fc.constantFrom(...nastyHeaders) },
)

const subjectOf = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom(...commandSubjects) },
  { weight: 8, arbitrary: fc.constantFrom(...verbSubjects) },
)

/** Every subject that a client may publish, with everything that it should not publish there. */
export const hostileMessage: fc.Arbitrary<Hostile> = subjectOf.chain((subject) =>
  fc.record({ subject: fc.constant(subject), body: bodyFor(subject), headers: headersOf }),
)

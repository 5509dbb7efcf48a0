import fc from 'fast-check'
import { z } from 'zod'
import { permissionsOf } from '../../services/cli/stack/nats-permissions.ts'
import { publicMessages } from '../../shared/contracts/verbs.ts'
import { durableCommands } from '../../shared/subjects.ts'
import {
  binaryBodies,
  largeBodies,
  nastyHeaders,
  nastyValues,
  rawBodies,
  wholesome,
} from './hostile-corpus.ts'

/** One message that a client may publish, whatever it holds. */
export interface Hostile {
  subject: string
  body: Uint8Array
  headers: Record<string, string>
}

/** Commands about one container wait for each other. */
const mostIds = 2000
const utf8 = new TextEncoder()

const commandSubjects: readonly string[] = durableCommands
/** Verbs, and the server's own answers: what the permissions say is what is tried. */
const otherSubjects = permissionsOf('client', 'any').publish.filter(
  (subject) => !commandSubjects.includes(subject),
)

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

/** What the server's API takes to read by. */
const directGet = [
  'seq',
  'batch',
  'last_by_subj',
  'next_by_subj',
  'multi_last',
  'max_bytes',
  'start_time',
  'up_to_seq',
]
const strangeKeys = ['__proto__', 'constructor', '', 'toString', 'a.b', '\0', 'Image', 'x'.repeat(5000)]

/** The keys that a message of this subject may have. */
const keysOf = (subject: string): string[] => {
  const schema = publicMessages[subject]
  const shapes = schema instanceof z.ZodDiscriminatedUnion ? schema.options : [schema]
  const keys = shapes.flatMap((shape) => (shape instanceof z.ZodObject ? Object.keys(shape.shape) : []))
  return keys.length > 0 ? keys : ['id', 'name', 'force', ...directGet]
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
  { weight: 8, arbitrary: fc.constantFrom(...otherSubjects) },
)

/** Every subject that a client may publish, with everything that it should not publish there. */
export const hostileMessage: fc.Arbitrary<Hostile> = subjectOf.chain((subject) =>
  fc.record({ subject: fc.constant(subject), body: bodyFor(subject), headers: headersOf }),
)

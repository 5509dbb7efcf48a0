import test from 'ava'
import { type Candidate, choose } from '../../../services/orchestrator/placement/choose.ts'
import { constraintOf, matches } from '../../../services/orchestrator/placement/constraints.ts'
import type { Request } from '../../../services/orchestrator/placement/request.ts'
import { Failure } from '../../../shared/failure.ts'

const GiB = 2 ** 30
const request = (more: Partial<Request> = {}): Request => ({
  id: 'x',
  command: 1,
  image: 'busybox:latest',
  node: undefined,
  constraints: [],
  strategy: 'spread',
  wait: true,
  quota: false,
  amount: { cpus: 0.5, memory: GiB, containers: 1 },
  ...more,
})
const node = (name: string, more: Partial<Candidate> = {}): Candidate => ({
  name,
  labels: {},
  features: {},
  images: ['busybox:latest'],
  capacity: { cpus: 2, memory: 4 * GiB, containers: 10 },
  use: { cpus: 0, memory: 0, containers: 0 },
  launching: 0,
  claimed: new Set(),
  ...more,
})
const used = (containers: number) => ({ use: { cpus: 0, memory: 0, containers } })
const full = { use: { cpus: 0, memory: 4 * GiB, containers: 4 } }

const cases: [title: string, Partial<Request>, Candidate[], expected: string | RegExp][] = [
  ['spread takes the one with fewest containers', {}, [node('a', used(2)), node('b', used(1))], 'b'],
  [
    'binpack the fullest with room',
    { strategy: 'binpack' },
    [node('a', used(1)), node('b', used(2)), node('c', full)],
    'b',
  ],
  ['one with the image before an emptier one', {}, [node('a', used(3)), node('b', { images: [] })], 'a'],
  ['one without the image when no other has room', {}, [node('a', full), node('b', { images: [] })], 'b'],
  ['a named node', { node: 'b' }, [node('a'), node('b', used(5))], 'b'],
  [
    'a node with a label',
    { constraints: [constraintOf('node.labels.disk == ssd')] },
    [node('a'), node('b', { labels: { disk: 'ssd' } })],
    'b',
  ],
  [
    'not the one that a constraint excludes',
    { constraints: [constraintOf('node.hostname!=a')] },
    [node('a'), node('b', used(5))],
    'b',
  ],
  [
    'one that can limit what a container adds',
    { quota: true },
    [node('a', { features: { quotas: false } }), node('b', used(5))],
    'b',
  ],
  ['of two alike the one that makes fewer', {}, [node('a', { launching: 4 }), node('b')], 'b'],
  [
    'no room: the limit and the use',
    {},
    [node('a', full)],
    /no node has room \(a: memory 1G asked, 4G of 4G taken\)/,
  ],
  [
    'no room: more than there is of processors',
    { amount: { cpus: 3, memory: 0, containers: 1 } },
    [node('a')],
    /cpus 3 asked, 0 of 2 taken/,
  ],
  [
    'no node of the label',
    { constraints: [constraintOf('node.labels.disk==ssd')] },
    [node('a')],
    /no node that is ready has node.labels.disk==ssd/,
  ],
  ['no node of the name', { node: 'z' }, [node('a')], /no node that is ready is called z/],
  [
    'nothing of what earlier ones wait for',
    {},
    [node('a', { claimed: new Set(['memory']) })],
    /others wait for it/,
  ],
  [
    'what nobody waits for, past those who wait',
    { amount: { cpus: 0, memory: 0, containers: 1 } },
    [node('a', { claimed: new Set(['memory']) })],
    'a',
  ],
  ['the balance before a free turn', {}, [node('a', { launching: 4 }), node('b', used(1))], /^busy a$/],
]

for (const [title, more, candidates, expected] of cases) {
  test(`chosen is ${title}`, (t) => {
    const choice = choose(request(more), candidates, 4)
    const said =
      'node' in choice ? choice.node.name : 'busy' in choice ? `busy ${choice.busy.name}` : choice.reason
    if (typeof expected === 'string') t.is(said, expected)
    else t.regex(said, expected)
  })
}

test('a constraint is an equation about the name or a label; a label that is absent equals nothing', (t) => {
  const it = node('a', { labels: { zone: 'x' } })
  for (const text of [
    'node.labels.zone==x',
    'node.labels.zone == x',
    'node.hostname==a',
    'node.labels.none!=x',
  ])
    t.true(matches(constraintOf(text), it), text)
  for (const text of ['node.labels.zone!=x', 'node.labels.none==x', 'node.hostname!=a'])
    t.false(matches(constraintOf(text), it), text)
  for (const text of ['', 'zone==x', 'node.labels.zone', 'node.labels.zone=x', 'node.labels.zone=='])
    t.is(t.throws(() => constraintOf(text), { instanceOf: Failure })?.code, 'invalid_message')
})

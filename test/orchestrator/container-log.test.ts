import test from 'ava'
import { type StoredEvent, cloudEvent } from '../../shared/contracts/event.ts'
import { foldContainer } from '../../services/orchestrator/container-log.ts'
import { containerSpec } from '../../services/orchestrator/container-spec.ts'
import { faultOf, lastKnown } from '../../services/orchestrator/parked.ts'

const id = 'c1'
const spec = containerSpec({ image: 'busybox', command: ['sleep', '1'] }, { id, node: 'n' })

const log = (
  ...facts: { type: string; data: Record<string, unknown>; commandId?: string }[]
): StoredEvent[] =>
  facts.map(({ type, data, commandId }, index) => {
    const event = cloudEvent(
      { kind: 'container', id, type, data, commandId, messageId: `${id}:${index}` },
      '/test',
    )
    return { sequence: 10 + index, subject: `event.container.${id}`, event, raw: JSON.stringify(event) }
  })
const saga = (record: Record<string, unknown>, commandId?: string) => ({
  type: `saga.${String(record['kind'])}`,
  data: { record },
  ...(commandId ? { commandId } : {}),
})
const started = (n = 1, input: Record<string, unknown> = spec) =>
  saga(
    {
      kind: 'started',
      n,
      owner: 'o',
      saga: 'create-container',
      version: 1,
      input,
      deadline: '2026-01-01T00:00:00Z',
      transitions: [{ step: 'namespace', status: 'done', output: { pid: 5, startedAt: 'T5' } }],
    },
    'create',
  )
const ended = (n: number, outcome = 'completed') =>
  saga({ kind: 'ended', n, owner: 'o', outcome, transitions: [] })
const fact = (type: string, data: Record<string, unknown> = {}) => ({ type: `container.${type}`, data })
const exited = (pid: number, at = 'T', finishedAt = 'T') =>
  fact('exited', { pid, startedAt: `${at}${pid}`, exitCode: 1, finishedAt })
const begun = (pid: number, rest: object = {}) => fact('started', { pid, startedAt: `T${pid}`, ...rest })

const statusOf = (...facts: Parameters<typeof log>) => foldContainer(log(...facts)).container?.status

test('an empty log describes nothing', (t) => {
  const { container, saga: state, content, abandoned } = foldContainer([])
  t.like(
    { container, state, sequence: content.sequence, abandoned },
    { container: undefined, state: undefined, sequence: 0, abandoned: false },
  )
})

test('the status follows the saga and then the container’s own events', (t) => {
  t.is(statusOf(started()), 'creating')
  t.is(statusOf(started(), ended(2)), 'running')
  t.is(statusOf(started(1, { ...spec, start: false }), ended(2)), 'created')
  t.is(statusOf(started(), ended(2), exited(5)), 'stopped')
  t.is(statusOf(started(), ended(2), exited(5), begun(6)), 'running')
  t.is(statusOf(started(), ended(2), exited(5), begun(6), exited(5)), 'running', 'told again')
  t.is(statusOf(started(), ended(2), fact('paused')), 'paused')
  t.is(statusOf(started(), ended(2), fact('paused'), fact('unpaused')), 'running')
  t.is(
    statusOf(
      started(),
      ended(2),
      saga({ kind: 'unwinding', n: 3, owner: 'p', reason: 'x', transitions: [] }),
    ),
    'deleting',
  )
})

test('an exit may be told before its launch has ended, and before its start', (t) => {
  t.is(statusOf(started(), exited(5), ended(2)), 'stopped')
  t.is(statusOf(started(), ended(2), exited(5), exited(6), begun(6)), 'stopped')
})

test('restarts are counted, also of a process that ended before its start was told, and anew after a user’s start', (t) => {
  const restarts = (...facts: Parameters<typeof log>) =>
    foldContainer(log(started(), ended(2), ...facts)).container?.restarts
  t.is(restarts(exited(5), begun(6, { restart: true }), exited(6), begun(7, { restart: true })), 2)
  t.is(restarts(exited(5), exited(6), begun(6, { restart: true })), 1)
  t.is(restarts(exited(5), begun(6, { restart: true }), exited(6), begun(7)), 0)
})

test('ten seconds of running end the count', (t) => {
  const [from, to] = ['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:10.001Z']
  const long = fact('exited', { pid: 6, startedAt: from, exitCode: 1, finishedAt: to })
  const facts = [started(), ended(2), exited(5), begun(6, { startedAt: from, restart: true }), long]
  t.is(foldContainer(log(...facts)).container?.restarts, 0)
})

test('a stop is remembered until the next start', (t) => {
  const stopped = [started(), ended(2), fact('stopping'), exited(5)]
  t.true(foldContainer(log(...stopped)).container?.stoppedByUser)
  t.is(foldContainer(log(...stopped, begun(6))).container?.stoppedByUser, undefined)
})

test('one that was never started is not for a policy to start', (t) => {
  const facts = [started(1, { ...spec, start: false }), ended(2), exited(5)]
  t.true(foldContainer(log(...facts)).container?.stoppedByUser)
})

test('answers are known by their commands', (t) => {
  const { answered, startedBy } = foldContainer(
    log(started(), { ...ended(2), type: 'container.running', commandId: 'create' }),
  )
  t.true(answered.has('create'))
  t.is(startedBy, 'create')
})

const faults: Record<string, StoredEvent | ReturnType<typeof fact>> = {
  'a gap': ended(3),
  'a record of a stranger': saga({
    kind: 'ended',
    n: 2,
    owner: 'stranger',
    outcome: 'completed',
    transitions: [],
  }),
  'no saga record': saga({ kind: 'imagined' }),
}
for (const [what, record] of Object.entries(faults))
  test(`${what} is refused with its sequence`, (t) => {
    const error = t.throws(() => foldContainer(log(started(), record as ReturnType<typeof fact>)))
    t.is(faultOf(error), 11)
    t.regex(String(error?.message), /^sequence 11: /)
  })

test('what is no event, or another’s event, is refused with its sequence', (t) => {
  const [first] = log(started())
  if (!first) throw new Error('one was made')
  const broken = { ...first, sequence: 12, event: undefined, raw: '{"half' }
  t.is(faultOf(t.throws(() => foldContainer([first, broken]))), 12)
  const foreign = { ...first, sequence: 13, event: first.event && { ...first.event, subject: 'other' } }
  t.is(faultOf(t.throws(() => foldContainer([first, foreign]))), 13)
  t.is(lastKnown([first, broken])?.name, id, 'what came before is known')
})

test('a malformed fact of its life is refused with its sequence', (t) => {
  t.is(faultOf(t.throws(() => foldContainer(log(started(), ended(2), fact('exited', { pid: 'five' }))))), 12)
})

test('an input of another version is refused, not guessed', (t) => {
  t.is(faultOf(t.throws(() => foldContainer(log(started(1, { id, other: true }))))), 10)
})

test('after an operator gave it up nothing of it counts, and it can begin anew', (t) => {
  const facts = [started(), saga({ kind: 'imagined' }), fact('abandoned')]
  const given = foldContainer(log(...facts))
  t.like(given, { abandoned: true, saga: undefined, container: undefined })
  t.is(given.content.sequence, 12)
  t.is(lastKnown(log(...facts))?.name, id)
  t.is(statusOf(...facts, started(), ended(2)), 'running')
})

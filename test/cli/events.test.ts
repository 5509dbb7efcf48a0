import test from 'ava'
import { parseFilter, parseMoment, passes } from '../../services/cli/commands/events/event-filter.ts'
import { eventLine } from '../../services/cli/commands/events/event-line.ts'
import { configOf } from '../../services/cli/commands/images/changes.ts'
import { stepLine, transitionsOf } from '../../services/cli/output/steps.ts'
import type { CloudEvent } from '../../shared/contracts/event.ts'

const event = (fields: Partial<CloudEvent>): CloudEvent => ({
  specversion: '1.0',
  id: '1',
  source: '/test',
  type: 'container.running',
  subject: 'web',
  time: '2026-01-01T00:00:00.000Z',
  datacontenttype: 'application/json',
  data: {},
  ...fields,
})

test('a moment is a date, seconds since 1970 or a duration ago', (t) => {
  const now = 1_000_000
  t.is(parseMoment('1970-01-01T00:00:01Z', now), 1000)
  t.is(parseMoment('12.5', now), 12_500)
  t.is(parseMoment('1m30s', now), now - 90_000)
  t.throws(() => parseMoment('soon'), { message: /cannot use time "soon"/ })
})

test('a filter passes types by their beginning and drops what is too old', (t) => {
  t.true(passes(parseFilter(['type=container'], undefined), event({})))
  t.false(passes(parseFilter(['type=contain'], undefined), event({})))
  t.false(passes({ since: Date.parse('2027-01-01') }, event({})))
  t.throws(() => parseFilter(['color=red'], undefined), { message: /cannot use filter "color=red"/ })
})

test('an event is one line, a failure with its reason', (t) => {
  const error = { code: 'no_space', reason: 'the disk\nis full' }
  t.is(
    eventLine(event({ type: 'container.failed', data: { node: 'a', nested: {}, error } })),
    '2026-01-01T00:00:00.000Z container.failed web (node=a, code=no_space, reason=the disk is full)',
  )
})

test('a journal record shows its steps', (t) => {
  const transitions = [
    { step: 'storage', status: 'done', output: {}, durationMs: 4.21 },
    { step: 'cgroup', status: 'doing' },
  ]
  const progressed = event({ type: 'saga.progressed', data: { record: { kind: 'progressed', transitions } } })
  t.regex(eventLine(progressed), /\(storage=done, cgroup=doing\)$/)
  const lines = transitionsOf(progressed).map((transition) => stepLine(transition, (_, text) => text))
  t.deepEqual(lines, ['✔ storage done 4.2 ms', undefined])
})

test('an import’s changes are Dockerfile instructions', (t) => {
  t.deepEqual(configOf(['CMD ["sh", "-l"]', 'ENV A=1', 'env B=2', 'WORKDIR /srv', 'ENTRYPOINT exec run']), {
    Cmd: ['sh', '-l'],
    Env: ['A=1', 'B=2'],
    WorkingDir: '/srv',
    Entrypoint: ['/bin/sh', '-c', 'exec run'],
  })
  t.throws(() => configOf(['RUN make']), { message: /cannot use --change "RUN make": give one of CMD/ })
  t.throws(() => configOf(['CMD [sh]']), { message: /give a JSON list of strings/ })
})

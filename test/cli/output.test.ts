import test from 'ava'
import { commandColumn, shortIds, statusColumn } from '../../services/cli/output/container-columns.ts'
import { ExitCode, exitCodeOf, failureLine } from '../../services/cli/output/failure.ts'
import { phasesOf } from '../../services/cli/output/launch-profile.ts'
import { byteSize } from '../../services/cli/output/size.ts'
import { table } from '../../services/cli/output/table.ts'
import { span } from '../../services/cli/output/time.ts'
import type { Container } from '../../shared/contracts/container.ts'
import { Failure } from '../../shared/failure.ts'

test('a table has no borders, three spaces between columns and none at the end', (t) => {
  t.is(
    table(
      ['NAME', 'STATE'],
      [
        ['a', 'up'],
        ['longer', ''],
      ],
    ),
    'NAME     STATE\na        up\nlonger',
  )
  t.is(table(['NAME', 'STATE'], []), 'NAME   STATE')
})

test('control characters of a name do not reach the terminal', (t) => {
  t.is(table(['NAME'], [['a\x1b[31mb']]), 'NAME\na?[31mb')
})

test('ids are shortened to the beginning that tells them apart', (t) => {
  t.deepEqual(shortIds(['01JDB1S3V9AAAAAAAAAAAAAAAA', '01JDB1S3V9BBBBBBBBBBBBBBBB']), [
    '01JDB1S3V9AA',
    '01JDB1S3V9BB',
  ])
  t.deepEqual(shortIds(['01JDB1S3V9AAAA1AAAAAAAAAAA', '01JDB1S3V9AAAA2AAAAAAAAAAA']), [
    '01JDB1S3V9AAAA1',
    '01JDB1S3V9AAAA2',
  ])
  t.deepEqual(shortIds(['web']), ['web'])
  t.deepEqual(shortIds([]), [])
})

const spans: [ms: number, words: string][] = [
  [400, 'Less than a second'],
  [1000, '1 second'],
  [59_000, '59 seconds'],
  [90_000, 'About a minute'],
  [59 * 60_000, '59 minutes'],
  [3_600_000, 'About an hour'],
  [47 * 3_600_000, '47 hours'],
  [48 * 3_600_000, '2 days'],
  [14 * 86_400_000, '2 weeks'],
  [90 * 86_400_000, '3 months'],
  [800 * 86_400_000, '2 years'],
]

for (const [ms, words] of spans) test(`${ms} ms are ${words}`, (t) => t.is(span(ms), words))

test('sizes have three figures and decimal units', (t) => {
  t.deepEqual([0, 999, 1234, 2_040_000, 77_900_000].map(byteSize), [
    '0B',
    '999B',
    '1.23kB',
    '2.04MB',
    '77.9MB',
  ])
})

const container = (fields: Partial<Container>) =>
  ({ status: 'running', spec: { process: {} }, ...fields }) as unknown as Container

test('a state is told in Docker’s words', (t) => {
  const now = Date.parse('2026-01-01T00:10:00Z')
  const startedAt = '2026-01-01T00:00:00Z'
  t.is(statusColumn(container({ startedAt }), now), 'Up 10 minutes')
  t.is(statusColumn(container({ status: 'paused', startedAt }), now), 'Up 10 minutes (Paused)')
  t.is(statusColumn(container({ status: 'created' }), now), 'Created')
  const stopped = { status: 'stopped', exitCode: 137, finishedAt: '2026-01-01T00:09:57Z' } as const
  t.is(statusColumn(container(stopped), now), 'Exited (137) 3 seconds ago')
  t.is(
    statusColumn(container({ ...stopped, oomKilled: true }), now),
    'Exited (137) 3 seconds ago (out of memory)',
  )
  t.is(
    statusColumn(container({ status: 'stuck', error: { code: 'x', step: 'cgroup', reason: 'y' } }), now),
    'Stuck (cgroup)',
  )
})

test('a command is quoted and cut to twenty characters', (t) => {
  const spec = {
    process: { entrypoint: ['sh', '-c'], args: ['sleep 1000 && echo done'] },
  } as Container['spec']
  t.is(commandColumn(container({ spec })), '"sh -c sleep 1000 &&…"')
  t.is(commandColumn(container({ spec }), { full: true }), '"sh -c sleep 1000 && echo done"')
})

const codes: [action: string, error: unknown, code: number][] = [
  ['run', new Failure('not_found', ''), 125],
  ['run', new Failure('command_not_found', ''), 127],
  ['exec', new Failure('command_not_executable', ''), 126],
  ['run', new ExitCode(7), 7],
  ['ps', new Failure('unavailable', ''), 1],
  ['run', new TypeError('bug'), 125],
]

for (const [action, error, code] of codes) {
  test(`${action} with ${String(error)} exits ${code}`, (t) => t.is(exitCodeOf(action, error), code))
}

test('a failure is one line that says what could not be done', (t) => {
  t.is(
    failureLine('run', new Failure('system', 'cannot create cgroup x: full')),
    'dolly: cannot create cgroup x: full',
  )
  t.is(failureLine('run', new Failure('system', 'image:\n  wrong')), 'dolly: cannot run: image: wrong')
})

test('a phase of a profile lasts until its last step has ended, whatever the clock of day was set to meanwhile', (t) => {
  const owned = { n: 1, owner: 'one' }
  const step = { step: 'storage', status: 'undone', startedMs: 1.5, durationMs: 8.2 }
  const at = (time: string, record: object) => ({ sequence: 1, time, type: 'saga', data: { record } })
  const records = [
    at('2026-01-01T00:00:00.005Z', { kind: 'unwinding', ...owned, reason: 'deleted', transitions: [] }),
    at('2026-01-01T00:00:00.002Z', { kind: 'ended', ...owned, outcome: 'undone', transitions: [step] }),
  ]
  const [phase] = phasesOf(records)
  t.is(phase?.outcome, 'undone')
  t.is(phase?.durationMs, 10)
})

import test from 'ava'
import { Failure } from '../../../shared/failure.ts'
import { Lost } from '../../../services/orchestrator/saga/ledger.ts'
import { fail, failureTable, recorded, setUp } from './failure-table.ts'
import { memoryJournal, quickClock } from './memory.ts'

for (const { fails, calls: expected, outcome } of failureTable) {
  test(`when ${fails.join() || 'nothing'} fails, the calls are ${expected.join(', ')}`, async (t) => {
    const calls: string[] = []
    const run = await setUp(recorded(calls, fail(...fails)), memoryJournal().journal)
    await run.start({})
    const state = await run.toRest()
    t.is(state.outcome, outcome)
    t.deepEqual(calls, [...expected])
    t.is(state.cause?.step, fails[0]?.slice(3))
  })
}

test('an undo that keeps failing ends as stuck, names what is left, and leaves what it stands on', async (t) => {
  const calls: string[] = []
  const run = await setUp(recorded(calls, fail('do d', 'undo c')), memoryJournal().journal)
  await run.start({})
  const state = await run.toRest()
  t.is(state.outcome, 'stuck')
  t.is(state.steps['c']?.status, 'leaked')
  t.is(state.steps['c']?.error?.reason, 'undo c failed')
  t.is(state.steps['a']?.status, 'undoing', 'a is under c and stays')
  t.false(calls.includes('undo a'))
  t.is(state.steps['b']?.status, 'undone')
  t.is(calls.filter((call) => call === 'undo c').length, 8)
})

test('a stuck saga is undone when it is unwound again and the undo succeeds', async (t) => {
  const log = memoryJournal()
  const calls: string[] = []
  const first = await setUp(recorded(calls, fail('do d', 'undo c')), log.journal)
  await first.start({})
  await first.toRest()
  calls.length = 0
  const second = await setUp(recorded(calls), log.journal, 'two')
  t.true(await second.unwind('again'))
  const state = await second.toRest()
  t.is(state.outcome, 'undone')
  t.deepEqual(calls, ['undo c', 'undo a'])
})

test('a completed saga is unwound in the reverse order of needs', async (t) => {
  const log = memoryJournal()
  const run = await setUp(recorded([]), log.journal)
  await run.start({})
  await run.toRest()
  const calls: string[] = []
  const reverse = await setUp(recorded(calls), log.journal, 'two')
  await reverse.unwind('deleted')
  t.is((await reverse.toRest()).outcome, 'undone')
  t.deepEqual(calls, ['undo d', 'undo c', 'undo b', 'undo a'])
})

test('a retryable failure is tried again, a terminal one is not', async (t) => {
  const calls: string[] = []
  let times = 0
  const run = await setUp(
    recorded(calls, (call) => {
      if (call === 'do a' && ++times < 3) throw new Failure('busy', 'not now')
    }),
    memoryJournal().journal,
  )
  await run.start({})
  t.is((await run.toRest()).outcome, 'completed')
  t.is(calls.filter((call) => call === 'do a').length, 3)
})

test('every intent is in the journal before its request leaves', async (t) => {
  const log = memoryJournal()
  const missing: string[] = []
  const executor = recorded([], (call, { contract, direction }) => {
    const status = direction === 'do' ? 'doing' : 'undoing'
    const journaled = log.entries.some(
      ({ record }) =>
        'transitions' in record &&
        record.transitions.some((each) => each.step === contract.name && each.status === status),
    )
    if (!journaled) missing.push(call)
    if (call === 'do d') throw new Failure('system', 'd')
  })
  const run = await setUp(executor, log.journal)
  await run.start({})
  await run.toRest()
  t.deepEqual(missing, [])
})

test('a run that another has taken over while it stood still sends nothing more', async (t) => {
  const log = memoryJournal()
  const clock = quickClock()
  const held = Promise.withResolvers<void>()
  const calls: string[] = []
  const first = await setUp(
    recorded(calls, (call) => (call === 'do a' ? held.promise : undefined)),
    log.journal,
    'one',
    clock,
  )
  await first.start({})
  const driving = first.toRest()
  const second = await setUp(recorded([]), log.journal, 'two')
  t.true(await second.resume())
  t.is((await second.toRest()).outcome, 'completed')
  clock.advance(1000)
  held.resolve()
  await t.throwsAsync(driving, { instanceOf: Lost })
  t.deepEqual(calls, ['do a', 'do b'])
})

test('whoever takes over does again what was done, before the steps that need it', async (t) => {
  const log = memoryJournal()
  const reached = Promise.withResolvers<void>()
  const first = await setUp(
    recorded([], (call) => {
      if (call !== 'do c') return undefined
      reached.resolve()
      return new Promise<void>(() => {})
    }),
    log.journal,
  )
  await first.start({})
  const driving = first.toRest()
  await reached.promise
  first.stop()
  await t.throwsAsync(driving, { instanceOf: Lost })
  const calls: string[] = []
  const second = await setUp(recorded(calls), log.journal, 'two')
  t.true(await second.resume())
  t.is((await second.toRest()).outcome, 'completed')
  t.deepEqual(calls.toSorted(), ['do a', 'do b', 'do c', 'do d'])
  t.true(calls.indexOf('do a') < calls.indexOf('do c'), calls.join())
})

test('a cancelled saga compensates what was begun, and compensation is not cancelled', async (t) => {
  const log = memoryJournal()
  const calls: string[] = []
  const reached = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  const run = await setUp(
    recorded(calls, (call) => {
      if (call !== 'do c') return undefined
      reached.resolve()
      return held.promise
    }),
    log.journal,
  )
  await run.start({})
  const driving = run.toRest()
  await reached.promise
  const canceller = await setUp(recorded([]), log.journal, 'two')
  t.true(await canceller.cancel('not wanted'))
  t.true(await canceller.cancel('twice'))
  await run.refresh()
  held.resolve()
  const state = await driving
  t.is(state.outcome, 'compensated')
  t.is(state.cause?.code, 'cancelled')
  t.deepEqual(calls, ['do a', 'do b', 'do c', 'undo c', 'undo b', 'undo a'])
})

test('a journal with a gap is refused with the sequence at fault', async (t) => {
  const log = memoryJournal()
  const run = await setUp(recorded([]), log.journal)
  await run.start({})
  await run.toRest()
  await run.unwind('deleted')
  log.entries.splice(1, 1)
  const error = await t.throwsAsync(() => setUp(recorded([]), log.journal))
  t.regex(error?.message ?? '', /^sequence 3: record 3 follows record 1: a record is missing$/)
})

test('a run that is told to look at a journal that cannot be read goes on, and meets it where it reads itself', async (t) => {
  const log = memoryJournal()
  const run = await setUp(recorded([]), log.journal)
  await run.start({})
  const [begun] = log.entries
  if (!begun) throw new Error('nothing has begun')
  log.entries.push({ ...begun, sequence: 2, record: { ...begun.record, n: 7 } })
  await t.notThrowsAsync(run.refresh())
  log.entries.pop()
  t.is((await run.toRest()).outcome, 'completed')
})

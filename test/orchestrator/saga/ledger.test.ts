import test from 'ava'
import { Failure } from '../../../shared/failure.ts'
import type { Journal } from '../../../services/orchestrator/saga/journal.ts'
import { Lost, createLedger } from '../../../services/orchestrator/saga/ledger.ts'
import { memoryJournal, quickClock } from './memory.ts'

const nothing = { entries: [], sequence: 0 }
const started = {
  kind: 'started' as const,
  saga: 'plain',
  version: 1,
  input: {},
  deadline: new Date(1e12).toISOString(),
  transitions: [{ step: 'a', status: 'doing' as const }],
}
const progressed = {
  kind: 'progressed' as const,
  transitions: [{ step: 'a', status: 'done' as const, output: {} }],
}

test('a run whose beginning was stored and not acknowledged has lost its saga to the run that resumed it', async (t) => {
  const { journal, entries } = memoryJournal()
  const forgetful: Journal = {
    read: journal.read,
    append: async (record, position) => {
      await journal.append(record, position)
      const rival = createLedger(journal, 'rival', await journal.read(), quickClock())
      await rival.append({ kind: 'resumed', transitions: [] })
      throw new Failure('stale', 'asked again, and the server has forgotten that it said yes')
    },
  }
  const ledger = createLedger(forgetful, 'first', nothing, quickClock())
  await t.throwsAsync(ledger.append(started), { instanceOf: Lost })
  await t.throwsAsync(ledger.append(progressed), { instanceOf: Lost })
  t.deepEqual(
    entries.map(({ record }) => `${record.kind} by ${record.owner}`),
    ['started by first', 'resumed by rival'],
  )
})

test('a run that has seen that it lost its saga never appends to it again', async (t) => {
  const { journal, entries } = memoryJournal()
  const ledger = createLedger(journal, 'first', nothing, quickClock())
  await ledger.append(started)
  const rival = createLedger(journal, 'rival', await journal.read(), quickClock())
  await rival.append({ kind: 'resumed', transitions: [] })
  await t.throwsAsync(ledger.refresh(), { instanceOf: Lost })
  await t.throwsAsync(ledger.append(progressed), { instanceOf: Lost })
  t.is(entries.length, 2)
})

test('what was decided before a look at the journal is not appended after it', async (t) => {
  const { journal, entries } = memoryJournal()
  const ledger = createLedger(journal, 'first', nothing, quickClock())
  await ledger.append(started)
  const user = createLedger(journal, 'user', await journal.read(), quickClock())
  await user.append({ kind: 'cancelled', reason: 'deleted' })
  const looking = ledger.refresh()
  const ending = ledger.append({ kind: 'ended', outcome: 'completed', transitions: progressed.transitions })
  await looking
  t.false(await ending, 'the end does not know of the cancellation')
  t.is(ledger.current().phase, 'backward')
  t.deepEqual(
    entries.map(({ record }) => record.kind),
    ['started', 'cancelled'],
  )
})

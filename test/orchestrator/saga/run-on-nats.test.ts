import test from 'ava'
import { createLog } from '../../../shared/log.ts'
import { containerJournal } from '../../../services/orchestrator/container-journal.ts'
import { containerSpec } from '../../../services/orchestrator/container-spec.ts'
import { foldJournal } from '../../../services/orchestrator/saga/ledger.ts'
import { startNatsServer } from '../../helpers/stack.ts'
import { fail, failureTable, recorded, setUp } from './failure-table.ts'

test('the failure table holds on a real log, which replays to the same end', async (t) => {
  await using server = await startNatsServer()
  await using bus = await server.bus('orchestrator')
  const log = createLog({}, 'silent')
  const { signal } = new AbortController()
  for (const [row, { fails, calls: expected, outcome }] of failureTable.entries()) {
    const id = `row-${row}`
    const calls: string[] = []
    const content = { entries: [], sequence: 0 }
    const journal = containerJournal({ bus, id, commandId: `command-${row}`, content, log, signal })
    const run = await setUp(recorded(calls, fail(...fails)), journal)
    await run.start(containerSpec({ image: 'busybox' }, { id, node: 'none' }))
    const state = await run.toRest()
    t.is(state.outcome, outcome)
    t.deepEqual(calls, [...expected])
    const { outcome: replayed, steps, n } = foldJournal(await journal.read()) ?? {}
    t.deepEqual({ replayed, steps, n }, { replayed: outcome, steps: state.steps, n: state.n })
    const events = await bus.journal('container', id)
    t.is(
      events.filter(
        ({ event }) => event?.commandid === `command-${row}` && event.type.startsWith('container.'),
      ).length,
      1,
    )
  }
})

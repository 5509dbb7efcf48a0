import test from 'ava'
import { createSettlement } from '../../../services/orchestrator/placement/settlement.ts'

const held = { command: 1, node: 'a', cpus: 0, memory: 0 }

type Parts = Parameters<typeof createSettlement>[0]

test('a launch that lives is settled by the list, or as soon as the log says that its container is gone', (t) => {
  // The list has not shown it yet, and never will: it was deleted at once.
  const projection = { get: () => undefined } as unknown as Parts['projection']
  const settlement = createSettlement({ projection, bus: undefined as never, staleMs: 60_000 })
  settlement.begin('x', held)
  t.true(settlement.isLaunching('x', held))
  settlement.end('x', 'living')
  t.false(settlement.isSettled('x', held), 'it is counted nowhere else')
  settlement.gone('x')
  t.true(settlement.isSettled('x', held))
})

test('what another orchestrator has taken out of the book is forgotten, but no launch in hand', async (t) => {
  const projection = { get: () => undefined } as unknown as Parts['projection']
  const settlement = createSettlement({ projection, bus: undefined as never, staleMs: 60_000_000 })
  for (const id of ['ended', 'kept', 'in-hand']) settlement.begin(id, held)
  for (const id of ['ended', 'kept']) settlement.end(id, 'living')
  await settlement.verify({ kept: held })
  // Nothing is known any more of when it began.
  t.deepEqual(
    ['ended', 'kept', 'in-hand'].map((id) => settlement.isStale(id)),
    [true, false, false],
  )
})

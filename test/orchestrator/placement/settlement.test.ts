import test from 'ava'
import { createSettlement } from '../../../services/orchestrator/placement/settlement.ts'

type Parts = Parameters<typeof createSettlement>[0]

test('a launch that lives is settled by the list, or as soon as the log says that its container is gone', (t) => {
  // The list has not shown it yet, and never will: it was deleted at once.
  const projection = { get: () => undefined } as unknown as Parts['projection']
  const settlement = createSettlement({ projection, bus: undefined as never, staleMs: 60_000 })
  const held = { command: 1, node: 'a', cpus: 0, memory: 0 }
  settlement.begin('x', held)
  t.true(settlement.isLaunching('x', held))
  settlement.end('x', 'living')
  t.false(settlement.isSettled('x', held), 'it is counted nowhere else')
  settlement.gone('x')
  t.true(settlement.isSettled('x', held))
})

import test from 'ava'
import { z } from 'zod'
import { stepContract } from '../../../shared/contracts/contract.ts'
import { saga, step } from '../../../services/orchestrator/saga/definition.ts'

const service = 'orchestrator'
const first = stepContract('first', {
  service,
  input: z.object({ id: z.string() }),
  output: z.object({ path: z.string() }),
})
const second = stepContract('second', {
  service,
  input: z.object({ id: z.string(), path: z.string() }),
  output: z.object({}),
})
const limits = { version: 1, input: z.object({ id: z.string() }), deadlineMs: 1000 }

test('a step whose input its needs produce is accepted', (t) => {
  t.is(saga('ok', limits, [step(first), step(second, { needs: [first] })]).steps.length, 2)
})

test('a step whose input nothing produces does not compile', (t) => {
  // @ts-expect-error second needs path
  t.is(saga('missing', limits, [step(first), step(second)]).steps.length, 2)
})

test('a step before one that it needs is refused', (t) => {
  t.throws(() => saga('order', limits, [step(second, { needs: [first] }), step(first)]), {
    message: 'saga order: second comes before first, which it needs',
  })
})

test('a step that stands twice is refused', (t) => {
  t.throws(() => saga('twice', limits, [step(first), step(first)]), {
    message: 'saga twice: first stands twice',
  })
})

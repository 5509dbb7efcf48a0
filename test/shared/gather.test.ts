import test from 'ava'
import { type Batch, gather } from '../../shared/bus/gather.ts'

const taken = async (batches: AsyncIterable<Batch<number>>): Promise<number[][]> => {
  const all: number[][] = []
  for await (const { items } of batches) all.push(items)
  return all
}

test('what comes in a moment is handed on together, what comes later in the next batch', async (t) => {
  const { add, take, end } = gather<number>(20)
  const batches = take()
  add(1)
  add(2)
  t.deepEqual((await batches.next()).value?.items, [1, 2])
  add(3)
  t.deepEqual((await batches.next()).value?.items, [3])
  end()
  t.true((await batches.next()).done)
})

test('what came while a batch was dealt with is the next batch', async (t) => {
  const { add, take, end } = gather<number>(0)
  const batches = take()
  add(1)
  t.deepEqual((await batches.next()).value?.items, [1])
  for (const item of [2, 3, 4]) add(item)
  t.deepEqual((await batches.next()).value?.items, [2, 3, 4])
  end()
})

test('a hurry ends the wait', async (t) => {
  const { add, hurry, take, end } = gather<number>(60_000)
  const batches = take()
  const first = batches.next()
  add(1)
  hurry()
  t.deepEqual((await first).value, { items: [1], hurried: true })
  end()
})

test('the end hands on what is left', async (t) => {
  const { add, take, end } = gather<number>(60_000)
  add(1)
  end()
  t.deepEqual(await taken(take()), [[1]])
  const empty = gather<number>(60_000)
  empty.end()
  t.deepEqual(await taken(empty.take()), [])
})

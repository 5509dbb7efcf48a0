import test from 'ava'
import { eventually, startNatsServer } from '../helpers/stack.ts'

test('a key comes, goes and comes again, and who decided on it before its end is refused', async (t) => {
  await using server = await startNatsServer()
  await using bus = await server.bus('orchestrator')
  const bucket = await bus.bucket('names')
  t.deepEqual(await bucket.entries(), [])
  const previousSeq = await bucket.create('a', 'first')
  await bucket.create('b', 'stays')
  await bucket.delete('a', { previousSeq })
  t.deepEqual(await bucket.entries(), [{ key: 'b', value: 'stays' }])
  await t.throwsAsync(bucket.put('a', 'late', { previousSeq }), { code: 'stale' })
  await t.throwsAsync(bucket.delete('a', { previousSeq }), { code: 'stale' })
  await bucket.create('a', 'second')
  t.is((await bucket.get('a'))?.string(), 'second')
})

test('what is remembered of a deleted key is forgotten in the end', async (t) => {
  await using server = await startNatsServer()
  await using bus = await server.bus('orchestrator')
  const bucket = await bus.bucket('names', { markTtl: '1s' })
  await bucket.delete('a', { previousSeq: await bucket.create('a', 'first') })
  t.is((await bucket.get('a'))?.operation, 'PURGE')
  await eventually('nothing is left of it', async () => (await bucket.get('a')) === null)
})

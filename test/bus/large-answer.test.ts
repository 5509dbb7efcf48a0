import test from 'ava'
import { Failure, reasonOf } from '../../shared/failure.ts'
import { eventually, startNatsServer } from '../helpers/stack.ts'

test('an answer larger than a message is refused with its size, and the service goes on', async (t) => {
  await using server = await startNatsServer()
  await using answerer = await server.bus('orchestrator')
  await using asker = await server.bus()
  await answerer.serve({
    name: 'orchestrator',
    description: 'answers as many bytes as it is asked for',
    metadata: {},
    endpoints: [
      {
        name: 'get',
        subject: 'container.get',
        handle: (body) => Promise.resolve({ plain: 'x'.repeat(Number(body)) }),
      },
    ],
  })
  // Its subscription may reach the server after the first request.
  const short = () => asker.request('container.get', 3, { timeoutMs: 1000 }).catch(reasonOf)
  await eventually('it answers', async () => (await short()) === 'xxx')
  const refused = await t.throwsAsync(asker.request('container.get', 2_000_000), { instanceOf: Failure })
  t.is(refused?.code, 'limit_refused')
  t.is(refused?.message, 'the answer of container.get has 2000002 bytes: a message of the bus holds 1047552')
  t.is(await asker.request('container.get', 3), 'xxx')
})

test('what is larger than a message is refused at once, wherever it goes, and never tried again', async (t) => {
  await using server = await startNatsServer()
  await using bus = await server.bus('orchestrator')
  const large = 'x'.repeat(2_000_000)
  const event = { kind: 'container', id: 'x', type: 'x', messageId: 'x', data: { large } } as const
  const refused = { instanceOf: Failure, code: 'limit_refused', message: /larger than a message of the bus/ }
  const bucket = await bus.bucket('names')
  await t.throwsAsync(bus.request('container.get', large), refused)
  await t.throwsAsync(bus.publishEvent(event), refused)
  await t.throwsAsync(bucket.put('x', large, { previousSeq: 0 }), refused)
})

import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { connectBus } from '../../shared/bus.ts'
import { createLog } from '../../shared/log.ts'
import { subjects } from '../../shared/subjects.ts'
import { eventually, startNatsServer } from '../helpers/stack.ts'
import { wayTo } from '../helpers/way-to-bus.ts'

const creates = 250
/** As many receipts as a client waits for at once. */
const atOnce = 100

test('of many commands that are published at once a client sends as many as it waits for receipts of, and all in their order', async (t) => {
  await using server = await startNatsServer()
  await using way = await wayTo(server.url, subjects.create)
  const config = { ...server.config, natsUrl: way.url }
  const client = await connectBus(config, { role: 'client', log: createLog({}, 'silent'), patient: false })
  await using _closing = { [Symbol.asyncDispose]: () => (way.release(), client.close()) }
  way.hold()
  const ids = Array.from({ length: creates }, (_, index) => `c${index}`)
  const published = Promise.all(
    ids.map((id) => client.publishCommand(subjects.create, { id }, { messageId: id })),
  )
  await eventually('as many are said', () => way.count() >= atOnce)
  await delay(200) // what else there were to say would be said by now
  t.is(way.count(), atOnce)
  way.release()
  t.deepEqual(
    (await published).map(({ sequence }) => sequence),
    ids.map((_, index) => index + 1),
  )
  t.is(way.count(), creates)
})

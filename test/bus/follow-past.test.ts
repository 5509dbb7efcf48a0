import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { connectBus } from '../../shared/bus.ts'
import { createLog } from '../../shared/log.ts'
import { startNatsServer } from '../helpers/stack.ts'
import { wayTo } from '../helpers/way-to-bus.ts'

/** More than are read at once. */
const count = 600

test('the past is read to its end, however slow the bus is, and whether there is any', async (t) => {
  await using server = await startNatsServer()
  await using near = await server.bus('orchestrator')
  await using way = await wayTo(server.url)
  const config = { ...server.config, natsUrl: way.url }
  const far = await connectBus(config, { role: 'client', log: createLog({}, 'silent'), patient: false })
  await using _closing = { [Symbol.asyncDispose]: () => (way.release(), far.close()) }
  const { signal } = new AbortController()
  const read = async (id: string) => {
    let seen = 0
    for await (const _ of far.followEvents({ kind: 'node', id, after: 'all', past: true }, signal)) seen += 1
    return seen
  }
  t.is(await read('x'), 0)
  const event = (n: number) => ({
    kind: 'node' as const,
    id: 'x',
    type: 'told',
    messageId: String(n),
    data: {},
  })
  await Promise.all(Array.from({ length: count }, (_, n) => near.append(event(n))))
  way.hold()
  const reading = read('x')
  await delay(1000)
  way.release()
  t.is(await reading, count)
})

import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { connectBus } from '../../shared/bus.ts'
import { createLog } from '../../shared/log.ts'
import { subjects } from '../../shared/subjects.ts'
import { eventually, startNatsServer } from '../helpers/stack.ts'

const creates = 250
/** As many receipts as a client waits for at once. */
const atOnce = 100

/** A way to the server on which its answers can be held back, and what was said to it is counted. */
const wayTo = async (url: string, counted: string) => {
  let said = ''
  const held = { isHeld: false, release: () => {} }
  const sockets = new DisposableStack()
  const way = createServer((client) => {
    const server = connect(Number(new URL(url).port), new URL(url).hostname)
    client.on('data', (data) => (said += data.toString('latin1')))
    client.pipe(server)
    server.on('data', (data) => {
      if (held.isHeld) server.pause().unshift(data)
      else client.write(data)
    })
    held.release = () => server.resume()
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => other.destroy()).on('close', () => other.destroy())
      sockets.defer(() => one.destroy())
    }
  })
  way.listen(0, '127.0.0.1')
  await once(way, 'listening')
  return {
    url: `nats://127.0.0.1:${(way.address() as AddressInfo).port}`,
    count: () => said.split(`HPUB ${counted} `).length - 1,
    hold: () => void (held.isHeld = true),
    release: () => {
      held.isHeld = false
      held.release()
    },
    [Symbol.asyncDispose]: async () => {
      sockets.dispose()
      await once(way.close(), 'close')
    },
  }
}

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

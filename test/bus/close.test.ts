import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { connectBus } from '../../shared/bus.ts'
import { Failure } from '../../shared/failure.ts'
import { createLog } from '../../shared/log.ts'
import { startNatsServer } from '../helpers/stack.ts'
import { wayTo } from '../helpers/way-to-bus.ts'

const log = createLog({}, 'silent')

test('a service that closes answers what it has in hand, and takes nothing more', async (t) => {
  await using server = await startNatsServer()
  await using asker = await server.bus()
  const answerer = await server.bus('orchestrator')
  const taken = Promise.withResolvers<void>()
  const handle = async () => {
    taken.resolve()
    await delay(300)
    return { plain: 'answered' }
  }
  const endpoints = [{ name: 'get', subject: 'container.get', handle }]
  await answerer.serve({ name: 'orchestrator', description: '', metadata: {}, endpoints })
  const asked = asker.request('container.get', {})
  await taken.promise
  const closed = answerer.close()
  t.is(await asked, 'answered')
  await closed
  const { details } = await t.throwsAsync(asker.request('container.get', {}), { instanceOf: Failure })
  t.true(details['nobody'])
})

test('a connection closes though the server does not answer', async (t) => {
  await using server = await startNatsServer()
  await using way = await wayTo(server.url)
  const config = { ...server.config, natsUrl: way.url }
  const bus = await connectBus(config, { role: 'orchestrator', log, patient: false })
  way.hold()
  await t.notThrowsAsync(bus.close())
})

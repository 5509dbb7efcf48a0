import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { createHeartbeats } from '../../services/orchestrator/heartbeats.ts'
import { createNodes } from '../../services/orchestrator/nodes.ts'
import { createLog } from '../../shared/log.ts'
import { subjects } from '../../shared/subjects.ts'
import { eventually, startNatsServer } from '../helpers/stack.ts'

const log = createLog({}, 'silent')

test('a node that is taken out while its services are asked does not come back', async (t) => {
  await using server = await startNatsServer()
  const { node } = server.config
  await using bus = await server.bus('orchestrator')
  await using host = await server.bus('storage')
  const held = { asked: 0, answer: Promise.withResolvers<void>() }
  const now = new Date().toISOString()
  const status = { pid: 1, startedAt: now, version: '1', now, facts: { subnet: '10.64.0.0/20' } }
  const handle = async () => {
    held.asked += 1
    if (held.asked > 1) await held.answer.promise
    return { output: status, transcript: [] }
  }
  const endpoints = [{ name: 'status', subject: subjects.host(node, 'storage', 'status'), handle }]
  await host.serve({ name: 'storage', description: '', metadata: {}, endpoints })
  const stop = new AbortController()
  const nodes = await createNodes({ bus, log, signal: stop.signal })
  const parts = { bus, nodes, node, heartbeatMs: 2000, log, signal: stop.signal }
  const beating = createHeartbeats(parts).run()
  await eventually('it is known', () => nodes.list().length === 1)
  await eventually('it is asked again', () => held.asked > 1)
  await nodes.forget(node)
  await eventually('it is not known any more', () => nodes.list().length === 0)
  stop.abort()
  held.answer.resolve()
  await beating
  await delay(100)
  t.is(await (await bus.bucket('nodes')).get(node).then((entry) => entry?.operation), 'PURGE')
  await nodes.ended
})

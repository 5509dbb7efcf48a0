import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { createNodes } from '../../services/orchestrator/nodes.ts'
import { createProjection } from '../../services/orchestrator/projection.ts'
import { type Bus, connectBus } from '../../shared/bus.ts'
import { createLog } from '../../shared/log.ts'
import { eventually, startNatsServer } from '../helpers/stack.ts'
import { wayTo } from '../helpers/way-to-bus.ts'

const log = createLog({}, 'silent')

const record = {
  name: 'one',
  joinedAt: '2026-01-01T00:00:00.000Z',
  role: 'client' as const,
  subnet: '',
  version: '',
  labels: {},
  capacity: { cpus: 1, memory: 1, disk: 1, containers: 1 },
  use: { memory: 0, disk: 0 },
  features: {},
  images: [],
  services: {},
  heartbeatAt: '2026-01-01T00:00:00.000Z',
}

/** Deletes a key, and waits until the bucket remembers nothing of it. */
const forget = async (bus: Bus, name: string, key: string) => {
  const bucket = await bus.bucket(name, { markTtl: '1s' })
  const entry = await bucket.get(key)
  await bucket.delete(key, { previousSeq: entry?.revision ?? (await bucket.create(key, '{}')) })
  await eventually('nothing is remembered of it', async () => (await bucket.get(key)) === null)
  return bucket.revision()
}

test('a list has seen all of its bucket, also what nothing is left of', async (t) => {
  await using server = await startNatsServer()
  await using bus = await server.bus('orchestrator')
  const stop = new AbortController()
  const parts = { bus, node: 'one', log, signal: stop.signal }
  const projection = await createProjection(parts)
  const last = await forget(bus, 'containers', 'x')
  t.true(await projection.reaches(last), 'as it goes')
  const other = await createProjection(parts)
  t.true(await other.reaches(last), 'at its start')
  await server.stop()
  await server.start()
  await eventually('the bus is back', () => !bus.isAway())
  await delay(500)
  t.is(projection.revision(), last, 'after the bus was away')
  stop.abort()
  await t.notThrowsAsync(Promise.all([projection.ended, other.ended]))
})

test('a node that was removed while the bus was away is not known any more, and may come again', async (t) => {
  await using server = await startNatsServer()
  await using near = await server.bus('orchestrator')
  await using way = await wayTo(server.url)
  const config = { ...server.config, natsUrl: way.url }
  const far = await connectBus(config, { role: 'orchestrator', log, patient: false })
  await using _closing = { [Symbol.asyncDispose]: () => far.close() }
  const stop = new AbortController()
  const nodes = await createNodes({ bus: far, log, signal: stop.signal })
  await nodes.write(record)
  await eventually('it is known', () => nodes.list().length === 1)
  way.hold()
  await forget(near, 'nodes', record.name)
  way.disconnect()
  await eventually('it is not known any more', () => nodes.list().length === 0)
  await t.notThrowsAsync(nodes.write(record))
  stop.abort()
  await t.notThrowsAsync(nodes.ended)
})

test('what follows a bucket ends when it is stopped in the midst of a reconnect', async (t) => {
  await using server = await startNatsServer()
  await using way = await wayTo(server.url)
  const config = { ...server.config, natsUrl: way.url }
  const bus = await connectBus(config, { role: 'orchestrator', log, patient: false })
  await using _closing = { [Symbol.asyncDispose]: () => bus.close() }
  const stop = new AbortController()
  const nodes = await createNodes({ bus, log, signal: stop.signal })
  const back = Promise.withResolvers<void>()
  // What is asked for anew is on its way, and not answered yet, when it is stopped.
  bus.onReconnect(() => (way.hold(), back.resolve()))
  way.disconnect()
  await back.promise
  await delay(100)
  stop.abort()
  way.release()
  t.is(await Promise.race([nodes.ended.then(() => 'ended'), delay(5000, 'goes on')]), 'ended')
})

import test from 'ava'
import type { ToldEvent } from '../../shared/bus/event-consumers.ts'
import { openConnection } from '../../shared/bus/connection.ts'
import { eventually, startNatsServer } from '../helpers/stack.ts'

/** As long as events wait of which nothing tells. */
const lookMs = 2000
const again = 5

test('an exit is considered again when its time has come, others with it, and each is acknowledged in the end', async (t) => {
  await using server = await startNatsServer()
  await using bus = await server.bus('orchestrator')
  const stop = new AbortController()
  const seen: ToldEvent[] = []
  let last = 0
  const consider = async (event: ToldEvent, deliveries: number) => {
    seen.push(event)
    return event.type === 'container.exited' && deliveries <= again ? 50 : undefined
  }
  const considering = bus.considerEvents(
    { durable: 'restarts', urgent: 'container.exited' },
    consider,
    stop.signal,
  )
  const append = async (type: string) => {
    const event = { kind: 'container' as const, id: 'x', type, messageId: type, data: {} }
    ;({ sequence: last } = await bus.append(event, last))
  }
  for (const type of ['saga.started', 'container.running', 'container.exited']) await append(type)
  const began = performance.now()
  await eventually('it is considered for the last time', () => seen.length === 3 + again)
  t.true(performance.now() - began < again * lookMs)
  await eventually('all are acknowledged', () => bus.hasConsumed('restarts', last))
  t.deepEqual(seen.map(({ type }) => type).slice(0, 3), [
    'saga.started',
    'container.running',
    'container.exited',
  ])
  t.true(seen.slice(3).every(({ type, messageId }) => type === messageId && type === 'container.exited'))
  stop.abort()
  await considering
})

test('a consumer that asks finds what another has let lie', async (t) => {
  await using server = await startNatsServer({ DOLLY_ACK_WAIT_MS: '500' })
  await using one = await server.bus('orchestrator')
  await using other = await server.bus('orchestrator')
  const stop = new AbortController()
  const { sequence } = await one.append(
    { kind: 'container', id: 'x', type: 'saga.started', messageId: 'a', data: {} },
    0,
  )
  const [taken, end] = [Promise.withResolvers<void>(), Promise.withResolvers<never[]>()]
  const idle = one.consumeEvents('projector', () => (taken.resolve(), end.promise), stop.signal)
  await taken.promise
  const { ended } = other.consumeEvents('projector', async () => [], stop.signal)
  await eventually('it is dealt with', () => other.hasConsumed('projector', sequence))
  end.resolve([])
  stop.abort()
  await t.notThrowsAsync(Promise.all([idle.ended, ended]))
})

test('each event is had soon, though no request for it waits at the server', async (t) => {
  await using server = await startNatsServer()
  await using bus = await server.bus('orchestrator')
  const connection = await openConnection(server.config, 'orchestrator', { patient: false })
  await using _closed = { [Symbol.asyncDispose]: () => connection.close() }
  const manager = await connection.jetstreamManager({ checkAPI: false })
  const stop = new AbortController()
  let had = 0
  const handle = async (events: readonly unknown[]) => ((had += events.length), [])
  const { ended } = bus.consumeEvents('projector', handle, stop.signal)
  const began = performance.now()
  for (let last = 0, n = 1; n <= again; n++) {
    const event = {
      kind: 'container' as const,
      id: 'x',
      type: 'saga.progressed',
      messageId: `${n}`,
      data: {},
    }
    ;({ sequence: last } = await bus.append(event, last))
    await eventually('it is had', () => had === n)
    t.is((await manager.consumers.info('EVENTS', 'projector')).num_waiting, 0)
  }
  // Without hints each but the first comes with a look, and the next is stored just after it.
  t.true(performance.now() - began < (again - 1) * lookMs)
  stop.abort()
  await ended
})

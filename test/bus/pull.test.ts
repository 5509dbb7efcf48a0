import test from 'ava'
import type { ToldEvent } from '../../shared/bus/event-consumers.ts'
import { connectBus } from '../../shared/bus.ts'
import { openConnection } from '../../shared/bus/connection.ts'
import type { StoredEvent } from '../../shared/contracts/event.ts'
import { createLog } from '../../shared/log.ts'
import { eventually, startNatsServer } from '../helpers/stack.ts'
import { wayTo } from '../helpers/way-to-bus.ts'

/** As long as events wait of which nothing tells. */
const lookMs = 2000
const again = 5
const told = 20

/** The beginning of a container's log. */
const first = (id: string) => ({
  kind: 'container' as const,
  id,
  type: 'saga.started',
  messageId: id,
  data: {},
})

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
  const { sequence } = await one.append(first('x'), 0)
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

test('what waits for more is dealt with when the consumer stops', async (t) => {
  await using server = await startNatsServer()
  await using bus = await server.bus('orchestrator')
  const stop = new AbortController()
  const { sequence } = await bus.append(first('x'), 0)
  let hadFirst = false
  const handle = async (events: readonly StoredEvent[], hurried: boolean) => {
    hadFirst = true
    return hurried ? [] : events
  }
  const { ended } = bus.consumeEvents('projector', handle, stop.signal)
  await eventually('it is had', () => hadFirst)
  t.false(await bus.hasConsumed('projector', sequence))
  stop.abort()
  await ended
  await eventually('it is acknowledged', () => bus.hasConsumed('projector', sequence))
})

test('of what is asked for while the connection is lost, all that came is dealt with', async (t) => {
  await using server = await startNatsServer({ DOLLY_ACK_WAIT_MS: '60000' })
  await using bus = await server.bus('orchestrator')
  await using way = await wayTo(server.url)
  const config = { ...server.config, natsUrl: way.url }
  const log = createLog({}, 'silent')
  const far = await connectBus(config, { role: 'orchestrator', log, patient: false })
  await using _closing = { [Symbol.asyncDispose]: () => far.close() }
  for (const id of ['x', 'y']) await bus.append(first(id), 0)
  way.cutBefore('HMSG event.container.y')
  const stop = new AbortController()
  const had: string[] = []
  const handle = async (events: readonly StoredEvent[]) => {
    had.push(...events.map(({ event }) => event?.subject ?? ''))
    return []
  }
  const { ended } = far.consumeEvents('projector', handle, stop.signal)
  await eventually('the first is had', () => had.includes('x'))
  stop.abort()
  await ended
  t.deepEqual(had, ['x'])
})

test('who has stopped leaves what is told to the others', async (t) => {
  await using server = await startNatsServer()
  await using one = await server.bus('orchestrator')
  await using other = await server.bus('orchestrator')
  const [stopped, stop] = [new AbortController(), new AbortController()]
  const { ended: stoppedEnded } = other.consumeEvents('projector', async () => [], stopped.signal)
  stopped.abort()
  await stoppedEnded
  let had = 0
  const handle = async (events: readonly unknown[]) => ((had += events.length), [])
  const { ended } = one.consumeEvents('projector', handle, stop.signal)
  let late = 0
  for (let n = 1; n <= told; n++) {
    await one.append(first(`c${n}`), 0)
    const began = performance.now()
    await eventually('it is had', () => had === n)
    if (performance.now() - began > lookMs / 4) late += 1
  }
  t.true(late < told / 4, `${late} of ${told} were had by a look`)
  stop.abort()
  await ended
})

test('who keeps events until somebody is in a hurry has them then', async (t) => {
  await using server = await startNatsServer()
  await using bus = await server.bus('orchestrator')
  const stop = new AbortController()
  const { sequence } = await bus.append(first('x'), 0)
  let kept = 0
  const handle = async (events: readonly StoredEvent[], hurried: boolean) =>
    hurried ? [] : ((kept += 1), events)
  const { hurry, ended } = bus.consumeEvents('projector', handle, stop.signal)
  await eventually('it is kept', () => kept > 1)
  t.false(await bus.hasConsumed('projector', sequence))
  hurry()
  await eventually('it is dealt with', () => bus.hasConsumed('projector', sequence))
  stop.abort()
  await ended
})

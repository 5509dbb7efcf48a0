import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { isJustBegun } from '../../services/orchestrator/projector.ts'
import type { StoredEvent } from '../../shared/contracts/event.ts'
import { eventually, startNatsServer } from '../helpers/stack.ts'

const told = ({ type = 'saga.started', expected = 0, agoMs = 0 }): StoredEvent =>
  ({ expected, event: { type, time: new Date(Date.now() - agoMs).toISOString() } }) as StoredEvent

test('the list may do without a launch that has just begun, and without nothing else', (t) => {
  t.true(isJustBegun([told({})]))
  t.false(isJustBegun([told({ agoMs: 1000 })]), 'it takes long')
  t.false(isJustBegun([told({ agoMs: -60_000 })]), 'clocks differ')
  t.false(isJustBegun([told({ expected: 7 })]), 'there was something of this id before')
  t.false(isJustBegun([told({}), told({ type: 'container.running', expected: 1 })]), 'it is whole')
})

test('events that may wait are handed on with what comes next, in their order, and acknowledged then', async (t) => {
  await using server = await startNatsServer()
  await using bus = await server.bus('orchestrator')
  const stop = new AbortController()
  const handed: number[][] = []
  let mayWait = true
  const handle = async (events: StoredEvent[]) => {
    handed.push(events.map(({ sequence }) => sequence))
    return mayWait ? events : []
  }
  const { ended } = bus.consumeEvents('projector', handle, stop.signal)
  const append = (type: string, last: number) =>
    bus.append({ kind: 'container', id: 'x', type, messageId: type, data: {} }, last)
  const { sequence: first } = await append('saga.started', 0)
  await eventually('it is handed on more than once', () => handed.length > 1)
  t.false(await bus.hasConsumed('projector', first))
  mayWait = false
  const { sequence: last } = await append('container.running', first)
  await eventually('all is dealt with', () => bus.hasConsumed('projector', last))
  const count = handed.length
  await delay(200)
  t.is(handed.length, count, 'nothing comes again')
  t.deepEqual([...new Set(handed.flat())], [first, last])
  stop.abort()
  await ended.catch(() => undefined) // as it ends with the signal
})

import test from 'ava'
import { createContainerRuns } from '../../services/orchestrator/container-runs.ts'
import { createDeliveries } from '../../services/orchestrator/deliveries.ts'
import { createLog } from '../../shared/log.ts'
import { subjects } from '../../shared/subjects.ts'
import { eventually, startNatsServer } from '../helpers/stack.ts'

test('a command that meets a bug again and again is rejected with an event, and the next one is served', async (t) => {
  await using server = await startNatsServer({ DOLLY_ACK_WAIT_MS: '200' })
  await using client = await server.bus('client')
  await using bus = await server.bus('orchestrator')
  const { signal } = new AbortController()
  const log = createLog({}, 'silent')
  const executor = { act: () => Promise.reject(new Error('nothing is asked of hosts')) }
  const runs = createContainerRuns({ bus, executor, log, signal })
  const served: string[] = []
  const act = async (_: unknown, __: unknown, id: string): Promise<boolean> => {
    if (id === 'poison') throw new TypeError('a bug')
    served.push(id)
    return true
  }
  const idOfName = async () => undefined
  const acts = { [subjects.create]: act }
  const deliveries = createDeliveries({ runs, acts, log, ackWaitMs: 200, signal, idOfName })
  const bugs: unknown[] = []
  const stop = new AbortController()
  const take = (command: Parameters<typeof deliveries.handle>[0]): void => {
    // Where the orchestrator would end and the command stay unacknowledged.
    deliveries.handle(command).catch((error: unknown) => bugs.push(error))
  }
  const consuming = bus.consumeCommands('container-create', take, stop.signal)
  await client.publishCommand(subjects.create, { id: 'poison' }, { messageId: 'first' })
  await client.publishCommand(subjects.create, { id: 'sound' }, { messageId: 'second' })

  const outcomes = async () =>
    (await client.journal('container', 'poison')).filter(({ event }) => event?.type === 'container.rejected')
  await eventually('it is rejected', async () => (await outcomes()).length > 0, 20_000)
  t.regex(String((await outcomes())[0]?.event?.data['reason']), /a bug has ended the orchestrator: a bug/)
  await eventually('it is gone from the queue', async () => {
    const { length } = await bus.pendingCommands(subjects.create, 100)
    return length === 0
  })
  t.is((await outcomes()).length, 1)
  t.true(bugs.length >= 5)
  t.deepEqual(served, ['sound'])
  stop.abort()
  await consuming
})

import test from 'ava'
import { createContainer, createLabContainer } from '../../services/orchestrator/create-container.ts'
import { patienceMs } from '../../shared/patience.ts'
import { createAndProve, deleteAndProve, proveExactness, startFaultyStack } from '../helpers/fault-matrix.ts'
import { moreOrchestrators, pidOf, replaced, signal } from '../helpers/fault-processes.ts'
import { tracesOf } from '../helpers/fault-traces.ts'
import { eventually } from '../helpers/stack.ts'

const sagas = { bridge: createContainer, lab: createLabContainer }

/** So long that whatever happens sooner was not owed to it. */
const ackWaitMs = Math.min(patienceMs(8000), 60_000)

let parts: Awaited<ReturnType<typeof startFaultyStack>>
test.before(async () => {
  parts = await startFaultyStack({ DOLLY_ACK_WAIT_MS: String(ackWaitMs) })
})
test.after.always(async () => parts?.[Symbol.asyncDispose]())

for (const mode of ['bridge', 'lab'] as const) {
  for (const { contract } of sagas[mode].steps) {
    const { name: step } = contract
    test.serial(`${mode}: a create that fails in "${step}" says so and leaves nothing`, async (t) => {
      const commands: string[] = []
      for (const point of ['before-act', 'after-act'] as const) {
        const id = `fail-${mode}-${step}-${point}`
        const commandId = await parts.client.publish('container.create', {
          id,
          image: 'busybox',
          command: ['sleep', '1000'],
          ...(mode === 'lab' ? { network_mode: 'lab' } : {}),
          trace: { inject: [{ step, point, action: 'fail' }] },
        })
        const { type, data } = await parts.client.outcome(commandId)
        t.is(type, 'container.failed')
        t.is(data['step'], step)
        t.regex(String(data['reason']), new RegExp(`^${step} was told to fail`))
        t.deepEqual(tracesOf(parts.stack.config, id), [])
        commands.push(commandId)
      }
      await proveExactness(t, parts, commands)
    })
  }
}

test.serial('what is commanded while no orchestrator runs is kept and done once', async (t) => {
  const { stack, client } = parts
  const before = await pidOf(stack.config, 'orchestrator')
  signal(before ?? 0, 'SIGSTOP')
  const id = 'kept'
  const commandId = await client.publish('container.create', {
    id,
    image: 'busybox',
    command: ['sleep', '1000'],
  })
  t.deepEqual(client.outcomesOf(commandId), [])
  signal(before ?? 0, 'SIGKILL')
  t.is((await client.outcome(commandId)).type, 'container.running')
  await proveExactness(t, parts, [commandId, await deleteAndProve(t, parts, id)])
})

test.serial('an orchestrator that is asked to stop hands its sagas over at once', async (t) => {
  const { stack, client } = parts
  await using _more = await moreOrchestrators(stack, 1)
  const namespace = (await pidOf(stack.config, 'namespace')) ?? 0
  signal(namespace, 'SIGSTOP')
  t.teardown(() => signal(namespace, 'SIGCONT'))
  const id = 'handed-over'
  const commandId = await client.publish('container.create', {
    id,
    image: 'busybox',
    command: ['sleep', '1000'],
  })
  const doing = await client.until(
    'the namespace step has begun',
    ({ subject, type, data }) =>
      subject === id &&
      type.startsWith('saga.') &&
      JSON.stringify(data).includes('"namespace","status":"doing"'),
  )
  const owner = Number(doing.source.split('/').at(-1))
  signal(owner, 'SIGTERM')
  const asked = Date.now()
  const resumed = await client.until(
    'another orchestrator has taken over',
    ({ subject, type }) => subject === id && type === 'saga.resumed',
    25_000,
  )
  t.not(resumed.source, doing.source)
  const tookMs = Date.parse(resumed.time) - asked
  t.log(`taken over ${tookMs} ms after SIGTERM`)
  t.true(tookMs < ackWaitMs / 2, 'the acknowledgement wait was not waited for')
  signal(namespace, 'SIGCONT')
  t.is((await client.outcome(commandId)).type, 'container.running')
  await proveExactness(t, parts, [commandId, await deleteAndProve(t, parts, id)])
})

test.serial(
  'an orchestrator that was stopped for long and wakes up has lost its saga and does nothing more to it',
  async (t) => {
    const { stack, client } = parts
    await using _more = await moreOrchestrators(stack, 1)
    const storage = (await pidOf(stack.config, 'storage')) ?? 0
    signal(storage, 'SIGSTOP')
    t.teardown(() => signal(storage, 'SIGCONT'))
    const id = 'woken'
    const commandId = await client.publish('container.create', {
      id,
      image: 'busybox',
      command: ['sleep', '1000'],
    })
    // From here on it waits for storage alone: nothing but the end of that wait will make it look at the journal.
    const doing = await client.until(
      'all but storage is done',
      ({ subject, type }) => subject === id && type === 'saga.progressed',
    )
    const owner = Number(doing.source.split('/').at(-1))
    signal(owner, 'SIGSTOP')
    t.teardown(() => signal(owner, 'SIGCONT'))
    await client.until(
      'another orchestrator has taken over',
      ({ subject, type, source }) => subject === id && type === 'saga.resumed' && source !== doing.source,
      55_000,
    )
    // The service dies with what it was asked, so that nothing but the journal can stop the one that wakes.
    signal(storage, 'SIGKILL')
    t.is((await client.outcome(commandId)).type, 'container.running')
    const deleted = await deleteAndProve(t, parts, id)
    const second = await pidOf(stack.config, 'storage')
    signal(second ?? 0, 'SIGKILL')
    await replaced(stack.config, 'storage', second)
    signal(owner, 'SIGCONT')
    const later = await createAndProve(t, parts, { id: 'after-woken' })
    await eventually(
      'the one that woke answers again',
      async () => (await stack.bus.ping('orchestrator')).length > 1,
    )
    await t.throwsAsync(
      eventually('it does its step again', () => tracesOf(stack.config, id).length > 0, 2000),
      { message: /not within/ },
    )
    t.deepEqual(tracesOf(stack.config, id), [], 'it has not done its step again')
    await proveExactness(t, parts, [commandId, deleted, later, await deleteAndProve(t, parts, 'after-woken')])
  },
)

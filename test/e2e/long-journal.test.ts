import test, { type ExecutionContext } from 'ava'
import { ulid } from 'ulid'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { checkpointType } from '../../shared/contracts/checkpoint.ts'
import type { Container } from '../../shared/contracts/container.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { patienceMs } from '../../shared/patience.ts'
import { subjects } from '../../shared/subjects.ts'
import { type ContainerClient, containerClient } from '../helpers/container-client.ts'
import { tracesOf } from '../helpers/fault-traces.ts'
import { type Stack, eventually, startStack } from '../helpers/stack.ts'

const sleeping = { command: ['sleep', '1000'] }

const recordsOf = async (stack: Stack, id: string) =>
  (await ask(stack.bus, verbs.sagaShow, { container: id })).records

const withoutSequence = (container: Container) => ({ ...container, sequence: 0 })

/** Everything a user may do with it still works, and how it was made is still on record. */
const isWhole = async (
  t: ExecutionContext,
  { stack, client, before }: { stack: Stack; client: ContainerClient; before: Container },
): Promise<void> => {
  const { id } = before
  t.deepEqual(withoutSequence(await client.get(id)), withoutSequence(before))
  const records = await recordsOf(stack, id)
  t.is(records[0]?.type, 'saga.started')
  t.true(JSON.stringify(records).includes('"transcript"'), 'its record of system calls is there')
  t.is((await client.exec(id, ['hostname'])).exitCode, 0)
  await ask(client.bus, verbs.containerStop, { container: id, timeoutMs: 0 })
  await client.exited(id)
  t.is((await ask(client.bus, verbs.containerStart, { container: id })).status, 'running')
  await client.remove(id)
  t.deepEqual(tracesOf(stack.config, id), [])
  t.deepEqual(await client.leaks(), [])
}

test('a journal that has become long goes on from a checkpoint', async (t) => {
  await using stack = await startStack()
  await using client = await containerClient(stack.config)
  const before = await client.create({ ...sleeping, restart: 'on-failure' })
  const { id } = before
  const note = (n: number) => {
    const data = { id, code: 'busy', reason: 'told many times' }
    const type = 'container.restart-failed'
    return stack.inside.append({ kind: 'container', id, type, messageId: `${id}:note:${n}`, data })
  }
  for (const round of [1, 2, 3, 4, 5]) {
    await Promise.all(Array.from({ length: 520 }, (_, n) => note(round * 1000 + n)))
    const checkpoints = () => client.eventsOf(id, checkpointType).length
    await eventually(`checkpoint ${round}`, () => checkpoints() >= round, 60_000)
  }
  await isWhole(t, { stack, client, before })
})

test('a container outlives the oldest records of a full log', async (t) => {
  await using stack = await startStack({
    DOLLY_EVENTS_MAX_BYTES: '1M',
    DOLLY_RECONCILE_MS: String(patienceMs(200)),
  })
  await using client = await containerClient(stack.config)
  const before = await client.create(sleeping)
  const { firstSequence: began } = await stack.inside.logState()
  const nonsense = async () => {
    const messageId = ulid()
    await client.bus.publishCommand(subjects.create, { image: 7, id: messageId }, { messageId })
    await client.outcome(messageId)
  }
  await eventually(
    'the log has dropped the records of its making',
    async () => {
      await Promise.all(Array.from({ length: 50 }, nonsense))
      return (await stack.inside.logState()).firstSequence > before.sequence + began
    },
    60_000,
  )
  await isWhole(t, { stack, client, before })
})

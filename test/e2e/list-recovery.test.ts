import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { askPages } from '../../services/cli/commands/bus/ask.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { type ContainerClient, containerClient } from '../helpers/container-client.ts'
import { natsServerOf, processesOf, signal } from '../helpers/fault-processes.ts'
import { type Stack, eventually, startStack } from '../helpers/stack.ts'

const sleeping = { command: ['sleep', '1000'] }
/** Until the server has written what it has said that it has. */
const flushMs = 500

const idsListed = async ({ bus }: ContainerClient): Promise<string[]> =>
  (await askPages(bus, verbs.containerList, { all: true })).flatMap(({ containers }) =>
    containers.map(({ id }) => id),
  )

const isWritten = async ({ inside }: Stack, ids: readonly string[]): Promise<boolean> => {
  // The bus may be away.
  const bucket = await inside.bucket('containers').catch(() => undefined)
  const entries = (await bucket?.entries().catch(() => undefined)) ?? []
  const keys = entries.map(({ key }) => key).filter((key) => !key.startsWith('='))
  return JSON.stringify(keys.toSorted()) === JSON.stringify(ids.toSorted())
}

/** Takes the list back to before its last two writes, of which the log knows: one container made, one deleted. */
const loseWrites = async ({ inside }: Stack, client: ContainerClient): Promise<string> => {
  const bucket = await inside.bucket('containers')
  const [made, deleted] = [await client.create(sleeping), await client.create(sleeping)]
  await idsListed(client)
  const before = await bucket.get(deleted.id)
  await client.remove(deleted.id)
  await idsListed(client)
  const [entry, mark] = [await bucket.get(made.id), await bucket.get(deleted.id)]
  await bucket.delete(made.id, { previousSeq: entry?.revision ?? 0 })
  await bucket.put(deleted.id, before?.string() ?? '', { previousSeq: mark?.revision ?? 0 })
  await eventually('the list is wrong', async () => (await idsListed(client)).includes(deleted.id))
  await delay(flushMs)
  return made.id
}

test('what a killed server has lost of the list comes back with it, or with an orchestrator', async (t) => {
  await using stack = await startStack()
  await using client = await containerClient(stack.config)
  const living: string[] = []
  for (const victims of [() => natsServerOf(stack.config), () => processesOf(stack.config, 'orchestrator')]) {
    living.push(await loseWrites(stack, client))
    for (const { pid } of await victims()) signal(pid, 'SIGKILL')
    await eventually('the list is what the log says', () => isWritten(stack, living), 30_000)
  }
  t.deepEqual((await idsListed(client)).toSorted(), living.toSorted())
})

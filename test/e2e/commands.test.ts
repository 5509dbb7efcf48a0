import test from 'ava'
import { ulid } from 'ulid'
import { ask, askPages } from '../../services/cli/commands/bus/ask.ts'
import { Failure } from '../../shared/failure.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { subjects } from '../../shared/subjects.ts'
import { type ContainerClient, containerClient, containerFor } from '../helpers/container-client.ts'
import { processesOf } from '../helpers/fault-processes.ts'
import { type Stack, startStack } from '../helpers/stack.ts'

let stack: Stack
let client: ContainerClient
const commands: string[] = []

test.before(async () => {
  stack = await startStack()
  client = await containerClient(stack.config)
})
test.after.always(async () => {
  await client?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
})

const publish = async (subject: string, body: object): Promise<string> => {
  const commandId = await client.publish(subject, body)
  commands.push(commandId)
  return commandId
}
const sleeping = (more: object = {}) => ({
  id: ulid(),
  image: 'busybox',
  command: ['sleep', '1000'],
  ...more,
})

test.serial('the same create again is answered by the container that is there', async (t) => {
  const message = sleeping({ name: 'twice' })
  const { pid } = await containerFor(t, client, message)
  const again = await client.outcome(await publish(subjects.create, message))
  t.like(again, { type: 'container.running', subject: message.id })
  t.like(again.data, { existing: true, pid })
})

test.serial('the list shows at once what has an outcome, and no more what is gone', async (t) => {
  const listed = async (id: string) =>
    (await ask(client.bus, verbs.containerList, { all: true })).containers.find((known) => known.id === id)
  for (let round = 0; round < 10; round++) {
    const name = `listed-${round}`
    const { id } = await containerFor(t, client, sleeping({ name }))
    t.is((await listed(id))?.status, 'running')
    t.is((await ask(client.bus, verbs.containerGet, { container: name })).id, id)
    await client.remove(id)
    t.is(await listed(id), undefined)
  }
})

test.serial('a container without a name has a lease of none, and no other is called by its id', async (t) => {
  const { id } = await containerFor(t, client, sleeping())
  t.is((await ask(client.bus, verbs.containerGet, { container: id })).name, id)
  t.deepEqual(
    (await (await stack.inside.bucket('names')).entries()).filter(({ value }) => value === id),
    [],
  )
  const other = await client.outcome(await publish(subjects.create, sleeping({ name: id })))
  t.is(other.type, 'container.rejected')
  t.regex(String(other.data['reason']), /is the form of an id/)
})

test.serial('a list larger than a message comes in pages', async (t) => {
  const environment = { LARGE: 'x'.repeat(120_000) }
  const ids: string[] = []
  for (let made = 0; made < 10; made++)
    ids.push((await containerFor(t, client, sleeping({ environment }))).id)
  const first = await ask(client.bus, verbs.containerList, { all: true })
  t.true(first.containers.length < ids.length)
  t.truthy(first.next)
  const pages = await askPages(client.bus, verbs.containerList, { all: true })
  t.deepEqual(
    pages.flatMap(({ containers }) => containers.map(({ id }) => id)),
    ids.toReversed(),
  )
})

test.serial('ten creates of one container at once make one', async (t) => {
  const message = sleeping()
  t.teardown(() => client.remove(message.id))
  const ids = await Promise.all(Array.from({ length: 10 }, () => publish(subjects.create, message)))
  const outcomes = await Promise.all(ids.map((id) => client.outcome(id)))
  t.deepEqual([...new Set(outcomes.map(({ type }) => type))], ['container.running'])
  t.is(new Set(outcomes.map(({ data }) => data['pid'])).size, 1)
  t.is(outcomes.filter(({ data }) => data['existing'] !== true).length, 1)
})

test.serial('the same id with another specification is a conflict', async (t) => {
  const message = sleeping()
  await containerFor(t, client, message)
  const other = await client.outcome(await publish(subjects.create, { ...message, mem_limit: '64M' }))
  t.like(other, { type: 'container.rejected', subject: message.id })
  t.is(other.data['code'], 'conflict')
  t.like(await client.get(message.id), { status: 'running' })
})

test.serial('the same name for another id is a conflict, and free again after delete', async (t) => {
  const first = await containerFor(t, client, sleeping({ name: 'only' }))
  const second = sleeping({ name: 'only' })
  const refused = await client.outcome(await publish(subjects.create, second))
  t.is(refused.type, 'container.rejected')
  t.is(refused.data['code'], 'conflict')
  t.regex(String(refused.data['reason']), new RegExp(`"only".*${first.id}`))
  await client.remove(first.id)
  await containerFor(t, client, second)
  t.is((await client.get('only')).id, second.id)
})

test.serial('two creates of one name at once: one runs, the other leaves nothing', async (t) => {
  const pair = [sleeping({ name: 'raced' }), sleeping({ name: 'raced' })]
  t.teardown(() => Promise.all(pair.map(({ id }) => client.tryDelete({ id }))))
  const ids = await Promise.all(pair.map((message) => publish(subjects.create, message)))
  const outcomes = await Promise.all(ids.map((id) => client.outcome(id)))
  t.is(outcomes.filter(({ type }) => type === 'container.running').length, 1)
  const loser = outcomes.find(({ type }) => type !== 'container.running')
  t.true(['container.rejected', 'container.failed'].includes(loser?.type ?? ''))
  t.is(loser?.data['code'], 'conflict')
  t.deepEqual(await client.leaks(), [])
})

test.serial('delete by name, and again: there is no such container', async (t) => {
  const { id } = await containerFor(t, client, sleeping({ name: 'named' }))
  const deleted = await client.outcome(await publish(subjects.delete, { name: 'named' }))
  t.like(deleted, { type: 'container.deleted', subject: id })
  const again = await client.outcome(await publish(subjects.delete, { id }))
  t.is(again.type, 'container.rejected')
  t.is(again.data['code'], 'not_found')
})

test.serial('two deletes at once both end, and one of them deletes', async (t) => {
  const { id } = await containerFor(t, client)
  const ids = await Promise.all([1, 2].map(() => publish(subjects.delete, { id })))
  const types = (await Promise.all(ids.map((one) => client.outcome(one)))).map(({ type }) => type)
  t.true(types.includes('container.deleted'))
  t.true(types.every((type) => ['container.deleted', 'container.rejected'].includes(type)))
})

test.serial('an id can be used again after delete', async (t) => {
  const message = sleeping()
  const first = await containerFor(t, client, message)
  await client.remove(message.id)
  const second = await containerFor(t, client, { ...message, mem_limit: '64M' })
  t.not(second.pid, first.pid)
})

test.serial('a delete published right after its create leaves nothing', async (t) => {
  for (let round = 0; round < 5; round++) {
    const message = sleeping()
    const create = publish(subjects.create, message)
    const removal = publish(subjects.delete, { id: message.id })
    const made = await client.outcome(await create)
    t.is((await client.outcome(await removal)).type, 'container.deleted')
    if (made.type !== 'container.running') {
      t.is(made.type, 'container.failed')
      t.is(made.data['code'], 'cancelled')
    }
  }
  t.deepEqual(await client.leaks(), [])
})

test.serial('a delete while the container is made cancels the launch', async (t) => {
  const { pid = 0 } = (await processesOf(stack.config, 'storage'))[0] ?? {}
  const message = sleeping()
  // A host service that does not come to an answer: the launch cannot be faster than the delete.
  process.kill(pid, 'SIGSTOP')
  t.teardown(() => process.kill(pid, 'SIGCONT'))
  const create = await publish(subjects.create, message)
  const see = (wanted: string) =>
    client.until(wanted, ({ subject, type }) => subject === message.id && type === wanted)
  await see('saga.started')
  const removal = await publish(subjects.delete, { id: message.id })
  await see('saga.cancelled')
  process.kill(pid, 'SIGCONT')
  const made = await client.outcome(create)
  t.is(made.type, 'container.failed')
  t.is(made.data['code'], 'cancelled')
  t.is((await client.outcome(removal)).type, 'container.deleted')
  t.deepEqual(await client.leaks(), [])
})

test.serial('with force: false a running container is not deleted', async (t) => {
  const { id } = await containerFor(t, client)
  const refused = await client.outcome(await publish(subjects.delete, { id, force: false }))
  t.is(refused.type, 'container.rejected')
  t.is(refused.data['code'], 'conflict')
  t.is((await client.get(id)).status, 'running')
})

test.serial('start: false leaves it created; start runs it once', async (t) => {
  const { id, status } = await containerFor(t, client, { start: false, command: ['sh', '-c', 'exit 3'] })
  t.is(status, 'created')
  await ask(client.bus, verbs.containerStart, { container: id })
  t.is((await client.exited(id)).data['exitCode'], 3)
})

test.serial('the state of a container that is not there is not_found', async (t) => {
  const error = await t.throwsAsync(client.get('nobody'), { instanceOf: Failure })
  t.is(error?.code, 'not_found')
})

test.serial('every command had one outcome', (t) => {
  for (const command of commands) t.is(client.outcomesOf(command).length, 1, command)
  t.true(commands.length > 30)
})

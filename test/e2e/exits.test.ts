import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { ulid } from 'ulid'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { type ContainerClient, containerClient, containerFor } from '../helpers/container-client.ts'
import { type Stack, eventually, startStack } from '../helpers/stack.ts'

let stack: Stack
let client: ContainerClient

test.before(async () => {
  stack = await startStack()
  client = await containerClient(stack.config)
})
test.after.always(async () => {
  await client?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
})

const codes: [string, string[], number][] = [
  ['success', ['true'], 0],
  ['a failure', ['false'], 1],
  ['a code of its own', ['sh', '-c', 'exit 7'], 7],
  ['the highest code', ['sh', '-c', 'exit 255'], 255],
]

for (const [what, command, exitCode] of codes) {
  test.serial(`${what} is reported as ${exitCode}`, async (t) => {
    const { id } = await containerFor(t, client, { command })
    const { data } = await client.exited(id)
    t.like(data, { exitCode, oomKilled: false })
    t.like(await client.get(id), { status: 'stopped', exitCode })
  })
}

test.serial('a killed init is reported as 137', async (t) => {
  const { id, pid = 0 } = await containerFor(t, client)
  // From outside: the kernel keeps from a process 1 what its own namespace sends it.
  process.kill(pid, 'SIGKILL')
  t.like((await client.exited(id)).data, { exitCode: 137, oomKilled: false })
})

test.serial('exec answers the code of its command, 128 and the signal when it was killed', async (t) => {
  const { id } = await containerFor(t, client)
  const ended = (script: string) => client.exec(id, ['sh', '-c', script])
  t.is((await ended('exit 0')).exitCode, 0)
  t.is((await ended('exit 255')).exitCode, 255)
  t.is((await ended('kill -TERM $$')).exitCode, 143)
  t.is((await ended('kill -KILL $$')).exitCode, 137)
  t.is((await ended('kill -ABRT $$')).exitCode, 134)
})

test.serial('a handler of its own decides the code', async (t) => {
  const command = ['sh', '-c', 'trap "exit 9" TERM; touch /ready; while :; do sleep 0.02; done']
  const { id } = await containerFor(t, client, { command })
  const ready = join(stack.config.names.rootfs(id), 'ready')
  await eventually('its trap is set', () => existsSync(ready))
  await ask(client.bus, verbs.containerKill, { container: id, signal: 'SIGTERM' })
  t.like((await client.exited(id)).data, { exitCode: 9 })
})

test.serial('thirty that end at once are each reported once, with their code', async (t) => {
  const wanted = Array.from({ length: 30 }, (_, index) => ({ id: ulid(), exitCode: index * 8 }))
  t.teardown(() => Promise.all(wanted.map(({ id }) => client.tryDelete({ id }))))
  await Promise.all(
    wanted.map(({ id, exitCode }) =>
      client.tryCreate({ id, image: 'busybox', command: ['sh', '-c', `exit ${exitCode}`] }),
    ),
  )
  for (const { id, exitCode } of wanted) t.is((await client.exited(id)).data['exitCode'], exitCode)
  const isStopped = async ({ id }: { id: string }) => (await client.get(id)).status === 'stopped'
  for (const one of wanted) t.true(await isStopped(one))
  for (const { id } of wanted) t.is(client.eventsOf(id, 'container.exited').length, 1)
})

test.serial('a container with auto_remove is deleted once it has ended', async (t) => {
  const { id } = await containerFor(t, client, { command: ['true'], auto_remove: true })
  await client.until('it is deleted', ({ type, subject }) => type === 'container.deleted' && subject === id)
  t.deepEqual(await client.leaks(), [])
})

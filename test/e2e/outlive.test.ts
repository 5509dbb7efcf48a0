import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { pidOf, processesOf } from '../helpers/fault-processes.ts'
import { readStackInfo } from '../../services/cli/stack/stack-files.ts'
import { logLines, readLog } from '../../services/namespace/streams/log-reader.ts'
import { type ContainerClient, containerClient, containerFor } from '../helpers/container-client.ts'
import * as kernel from '../helpers/kernel-facts.ts'
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

const startOf = async (pid: number): Promise<string> =>
  (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ')[19] ?? ''

const logOf = async (id: string): Promise<string[]> => {
  const lines = []
  const pieces = readLog(join(stack.config.names.bundle(id), 'container.log'))
  for await (const { text } of logLines(pieces)) lines.push(text)
  return lines
}

const counting = ['sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done']

const services = ['storage', 'cgroup', 'network', 'namespace', 'orchestrator']

for (const service of services) {
  test.serial(`a container outlives ${service}, which comes back and goes on`, async (t) => {
    const { id, pid = 0 } = await containerFor(t, client)
    const started = await startOf(pid)
    const [{ pid: serving = 0 } = {}] = await processesOf(stack.config, service)
    process.kill(serving, 'SIGKILL')
    await client.answers(service, serving)
    t.is(await startOf(pid), started, 'the same process')
    t.is((await client.exec(id, ['true'])).exitCode, 0)
    const other = await containerFor(t, client)
    t.is(other.status, 'running')
    await client.remove(id)
    t.false(await kernel.exists(`/proc/${pid}`))
  })
}

test.serial(
  'what the root says of its stack is whole whenever it is read, also when all services end at once',
  async (t) => {
    const pids = async () => {
      const info = await readStackInfo(stack.config)
      t.truthy(info)
      return services.map((service) => info?.pids[service] ?? 0)
    }
    for (let round = 0; round < 5; round++) {
      const before = await pids()
      for (const pid of before) process.kill(pid, 'SIGKILL')
      await eventually(
        'all serve again, as it says',
        async () => {
          const now = await pids()
          const serving = await Promise.all(services.map((service) => pidOf(stack.config, service)))
          return now.every((pid, index) => ![0, before[index]].includes(pid) && pid === serving[index])
        },
        30_000,
      )
    }
  },
)

test.serial('what a container writes while every service dies is all in its log', async (t) => {
  const { id } = await containerFor(t, client, { command: counting })
  for (const service of services) {
    const serving = await pidOf(stack.config, service)
    if (serving !== undefined) process.kill(serving, 'SIGKILL')
    await client.answers(service, serving)
  }
  const seen = (await logOf(id)).length
  await eventually('it goes on writing', async () => (await logOf(id)).length > seen + 5)
  const lines = await logOf(id)
  t.deepEqual(
    lines,
    lines.map((_, index) => String(index + 1)),
  )
  t.true(lines.length > 20)
})

test.serial('exits while the namespace service is down are reported when it is back, once', async (t) => {
  const [own, killed] = await Promise.all([
    containerFor(t, client, { command: ['sh', '-c', 'while [ ! -e /end ]; do sleep 0.02; done; exit 42'] }),
    containerFor(t, client),
  ])
  // Stopped, its supervisor does not know that it does not serve.
  const serving = (await pidOf(stack.config, 'namespace')) ?? 0
  process.kill(serving, 'SIGSTOP')
  await writeFile(join(stack.config.names.rootfs(own.id), 'end'), '')
  process.kill(killed.pid ?? 0, 'SIGKILL')
  const areGone = async () =>
    !(await kernel.exists(`/proc/${own.pid}`)) && !(await kernel.exists(`/proc/${killed.pid}`))
  await eventually('both have ended', areGone)
  t.deepEqual(
    [own, killed].flatMap(({ id }) => client.eventsOf(id, 'container.exited')),
    [],
  )
  process.kill(serving, 'SIGKILL')
  t.is((await client.exited(own.id)).data['exitCode'], 42)
  t.is((await client.exited(killed.id)).data['exitCode'], 137)
  await client.answers('namespace', serving)
  t.is((await client.get(own.id)).status, 'stopped')
  for (const { id } of [own, killed]) t.is(client.eventsOf(id, 'container.exited').length, 1)
})

test.serial('two stacks side by side do not see each other', async (t) => {
  await using other = await startStack()
  await using neighbour = await containerClient(other.config)
  const id = 'same'
  const [one, two] = await Promise.all([
    containerFor(t, client, { id, name: 'same' }),
    neighbour.create({ id, name: 'same', command: ['sleep', '1000'] }),
  ])
  t.not(one.pid, two.pid)
  t.not(one.address?.split('.').slice(0, 3).join('.'), two.address?.split('.').slice(0, 3).join('.'))
  await neighbour.remove(id)
  t.is((await client.get(id)).status, 'running')
  t.is((await client.exec(id, ['true'])).exitCode, 0)
  t.deepEqual(await client.leaks(), [])
  t.deepEqual(await neighbour.leaks(), [])
})

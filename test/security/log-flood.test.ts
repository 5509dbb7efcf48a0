import { statSync } from 'node:fs'
import test from 'ava'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { bundlePaths } from '../../services/namespace/bundle.ts'
import { hasDropped } from '../../services/namespace/log-file.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { dollyOf } from '../cli/dolly.ts'
import { type ContainerClient, containerClient, containerFor } from '../helpers/container-client.ts'
import { type Stack, eventually, startStack } from '../helpers/stack.ts'

const mebibyte = 2 ** 20
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

const logging = { options: { 'max-size': '1m' } }
const pathsOf = (id: string) => bundlePaths(stack.config.names.bundle(id))
const sizeOf = (id: string): number => statSync(pathsOf(id).log, { throwIfNoEntry: false })?.size ?? 0
const line = '0123456789'.repeat(10)

test('one that prints without end fills its own log and no more, and the log says so', async (t) => {
  const { id } = await containerFor(t, client, { command: ['yes', line], logging })
  let largest = 0
  await eventually(
    'its beginning was dropped',
    async () => {
      largest = Math.max(largest, sizeOf(id))
      return hasDropped(pathsOf(id))
    },
    30_000,
  )
  await ask(client.bus, verbs.containerKill, { container: id })
  await client.exited(id)
  largest = Math.max(largest, sizeOf(id))
  t.true(largest > 0 && largest <= mebibyte, String(largest))
  const { stderr, stdout } = await dollyOf(stack)(['logs', id])
  t.regex(
    stderr,
    /^dolly: the beginning of the log of \S+ was dropped: it keeps at most .* \(logging\.options\.max-size\)$/m,
  )
  t.true(stdout.includes(line))
})

test('one that starts again and again does so too', async (t) => {
  const command = ['sh', '-c', `yes ${line} | head -n 3500`]
  const { id } = await containerFor(t, client, { command, logging })
  const ends = () => client.eventsOf(id, 'container.exited').length
  await client.exited(id)
  t.false(hasDropped(pathsOf(id)))
  for (let runs = 2; runs <= 5; runs++) {
    await ask(client.bus, verbs.containerStart, { container: id })
    await eventually(`run ${runs} ended`, async () => ends() === runs, 30_000)
    t.true(sizeOf(id) <= mebibyte, String(sizeOf(id)))
  }
  t.true(hasDropped(pathsOf(id)))
})

test('a process that is executed in one and prints without end does so too', async (t) => {
  const { id } = await containerFor(t, client, { logging })
  const { execId, bundle } = await ask(client.bus, verbs.containerExec, {
    container: id,
    args: ['yes', line],
  })
  await ask(client.bus, verbs.containerExecStart, { container: id, execId })
  const { log } = bundlePaths(bundle)
  let largest = 0
  await eventually(
    'what it had printed was dropped',
    () => {
      const size = statSync(log, { throwIfNoEntry: false })?.size ?? largest
      const isDropped = size < largest
      largest = Math.max(largest, size)
      return isDropped
    },
    30_000,
  )
  t.true(largest > 0 && largest <= mebibyte, String(largest))
})

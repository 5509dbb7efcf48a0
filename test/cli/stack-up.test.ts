import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { ulid } from 'ulid'
import { connectBus } from '../../shared/bus.ts'
import { type Config, loadConfig } from '../../shared/config.ts'
import { processState } from '../../shared/contracts/operations.ts'
import { createLog } from '../../shared/log.ts'
import { run } from '../../shared/recorder.ts'
import { retrying } from '../../shared/retry.ts'
import { subjects } from '../../shared/subjects.ts'
import { parseReply } from '../../shared/wire.ts'
import { down } from '../../services/cli/stack/down.ts'
import { hierarchiesIn } from '../../services/cli/stack/kernel-checks.ts'
import { natsRuns } from '../../services/cli/stack/orphans.ts'
import { identify } from '../../services/cli/stack/process-table.ts'
import { serviceNames } from '../../services/cli/stack/project.ts'
import { environmentOf } from '../../services/cli/stack/stack-environment.ts'
import { readStackInfo, runningSupervisor } from '../../services/cli/stack/stack-files.ts'
import { up } from '../../services/cli/stack/up.ts'
import { temporaryConfig } from '../helpers/host.ts'
import { type Stack, eventually, startStack } from '../helpers/stack.ts'
import { dollyOf } from './dolly.ts'

/** What the kernel shows under the stack's names. */
const onHost = async ({ names }: Config): Promise<string[]> => {
  const [mounts, loops, links, tables] = await Promise.all([
    readFile('/proc/self/mountinfo', 'utf8'),
    run('losetup', ['--list', '--noheadings', '--output', 'BACK-FILE']),
    run('ip', ['-brief', 'link', 'show']),
    run('nft', ['list', 'tables']),
  ])
  return [
    ...(mounts.includes(names.cowfs) ? ['mount'] : []),
    ...(loops.includes(names.image) ? ['loop device'] : []),
    ...(links.includes(names.bridge) ? ['bridge'] : []),
    ...(tables.includes(names.nftTable) ? ['table'] : []),
    ...hierarchiesIn(mounts)
      .map(({ path }) => join(path, names.cgroupParent))
      .filter((path) => existsSync(path)),
  ]
}

const stateOf = async ({ inside: bus, config }: Pick<Stack, 'inside' | 'config'>, id: string) => {
  // Patiently: after the stack has come up again, the connection and the service may not be back yet.
  const subject = subjects.host(config.node, 'namespace', 'state')
  const asking = () => bus.request(subject, { id }, { timeoutMs: 2000 })
  const reply = await retrying(asking, { signal: AbortSignal.timeout(20_000) })
  return parseReply(processState.output, reply, subject).output
}

test.serial('a stack comes up once, and going down gives the host back', async (t) => {
  await using stack = await startStack()
  const { config } = stack
  t.deepEqual(Object.keys(stack.info.pids), ['nats-server', ...serviceNames])
  t.true((await onHost(config)).includes('mount'))

  const lines: string[] = []
  await up(config, { detach: true, onProgress: (line) => lines.push(line) })
  t.deepEqual(lines, [`already up, supervised by process ${stack.info.supervisor}`])

  const result = await down(config)
  t.deepEqual([result.kept, result.containers], [[], []])
  t.deepEqual(await onHost(config), [])
  for (const pid of Object.values(stack.info.pids)) t.is(await identify(pid), undefined)
  t.false((await down(config)).wasRunning, 'down twice is success')
  await up(config, { detach: true })
})

test.serial('what a killed supervisor left running is taken down, or ended by the next one', async (t) => {
  await using stack = await startStack()
  const { config, info } = stack
  process.kill(info.supervisor, 'SIGKILL')
  await eventually('the supervisor is gone', async () => (await identify(info.supervisor)) === undefined)
  t.is(await readStackInfo(config), undefined)
  t.truthy(await identify(info.pids['storage'] ?? 0), 'its services go on')

  const lines: string[] = []
  await up(config, { detach: true, onProgress: (line) => lines.push(line) })
  t.is(lines[0], 'ended 6 processes that an earlier supervisor left')
  for (const pid of Object.values(info.pids)) t.is(await identify(pid), undefined)

  process.kill((await readStackInfo(config))?.supervisor ?? 0, 'SIGKILL')
  t.true((await down(config)).wasRunning)
  t.deepEqual(await onHost(config), [])
  await up(config, { detach: true })
})

test.serial('containers outlive the stack, and the next one finds them', async (t) => {
  await using stack = await startStack()
  const { config, bus } = stack
  const id = ulid()
  await bus.publishCommand(
    subjects.create,
    { id, name: 'stays', image: 'busybox', command: ['sleep', '1000'] },
    { messageId: id },
  )
  const types = async () => (await bus.journal('container', id)).map(({ event }) => event?.type)
  await eventually('the launch has ended', async () => (await types()).includes('container.running'), 20_000)
  const { pid } = await stateOf(stack, id)

  const lines: string[] = []
  const result = await down(config, { onProgress: (line) => lines.push(line) })
  t.deepEqual(result.containers, [id])
  t.is(loadConfig({ DOLLY_ROOT: config.root }).node, config.node, 'which it needs to find them')
  t.regex(lines[0] ?? '', new RegExp(`^1 container stays, running ones go on: ${id}`))
  t.truthy(await identify(pid ?? 0))
  t.true((await onHost(config)).includes('mount'))

  await up(config, { detach: true })
  // The next stack's bus may have another port.
  const inside = await connectBus(config, { role: 'orchestrator', log: createLog({}, 'silent') })
  t.teardown(() => inside.close())
  const isFound = async () => (await stateOf({ inside, config }, id)).status === 'running'
  await eventually('the container is found', isFound, 30_000)
  t.is((await stateOf({ inside, config }, id)).pid, pid)
})

test.serial('a root stays the node it came up as until nothing of it is left', async (t) => {
  await using stack = await startStack()
  const { config } = stack
  const variables = { DOLLY_ROOT: config.root }
  t.is(loadConfig(variables).node, config.node, 'whatever the host is called')

  const message = `cannot use DOLLY_NODE "other": the stack of ${config.root} is node "${config.node}" until it is down and nothing of it is left`
  t.throws(() => loadConfig({ ...variables, DOLLY_NODE: 'other' }), { message })
  const refused = await dollyOf(stack)(['down'], { env: { DOLLY_NODE: 'other' } })
  t.deepEqual([refused.exitCode, refused.stderr], [1, `dolly: ${message}`])
  t.truthy(await runningSupervisor(config), 'it was not stopped')

  await down(config)
  t.is(loadConfig({ ...variables, DOLLY_NODE: 'other' }).node, 'other')
  await up(config, { detach: true })
})

test.serial('a bound supervisor ends with the program that started it', async (t) => {
  const helper = join(import.meta.dirname, 'fixtures/starts-and-dies.ts')
  await using temporary = await temporaryConfig()
  const { config } = temporary
  const starter = spawn(process.execPath, [helper], { env: environmentOf(config), stdio: 'inherit' })
  t.deepEqual(await once(starter, 'exit'), [null, 'SIGKILL'])
  await eventually(
    'the supervisor is gone',
    async () => (await runningSupervisor(config)) === undefined,
    20_000,
  )
  await eventually('the bus is gone', async () => !(await natsRuns(config)), 20_000)
  t.deepEqual(await onHost(config), [])
})

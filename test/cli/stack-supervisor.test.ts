import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import type { Config } from '../../shared/config.ts'
import { Failure } from '../../shared/failure.ts'
import { createLog } from '../../shared/log.ts'
import { keepRunning } from '../../services/cli/stack/keep-running.ts'
import { endOrphans } from '../../services/cli/stack/orphans.ts'
import { findProcesses, identify } from '../../services/cli/stack/process-table.ts'
import { readStackInfo } from '../../services/cli/stack/stack-files.ts'
import { type SupervisorOptions, supervise } from '../../services/cli/stack/supervisor.ts'
import { temporaryConfig } from '../helpers/host.ts'
import { eventually } from '../helpers/stack.ts'

const log = createLog({}, 'silent')
const quiet = { name: 'storage', main: 'test/cli/fixtures/quiet-service.ts' }
const unfit = { name: 'network', main: 'test/cli/fixtures/unfit-service.ts' }

const supervised = async (config: Config, options: Partial<SupervisorOptions> = {}) => {
  const supervisor = await supervise(config, { log, services: [quiet], ...options })
  return Object.assign(supervisor, { [Symbol.asyncDispose]: () => supervisor.stop() })
}

const pidOf = (supervisor: Awaited<ReturnType<typeof supervised>>, name: string): number =>
  supervisor.info().pids[name] ?? 0

test('a stack is told to everyone when it is ready and leaves no process when it is stopped', async (t) => {
  await using temporary = await temporaryConfig()
  const { config } = temporary
  const lines: string[] = []
  const supervisor = await supervise(config, {
    log,
    services: [quiet],
    onProgress: (line) => lines.push(line),
  })
  const info = await readStackInfo(config)
  t.deepEqual(info, supervisor.info())
  t.is(lines.at(-1), 'storage is ready')
  const pids = Object.values(info?.pids ?? {})
  t.is(pids.length, 2)

  await supervisor.stop()
  for (const pid of pids) t.is(await identify(pid), undefined)
  t.is(await readStackInfo(config), undefined)
})

test('a service and a bus that die are started again', async (t) => {
  t.plan(2)
  await using temporary = await temporaryConfig({ DOLLY_LOG_LEVEL: 'info' })
  await using supervisor = await supervised(temporary.config)
  for (const name of ['storage', 'nats-server']) {
    const before = pidOf(supervisor, name)
    process.kill(before, 'SIGKILL')
    await eventually(`${name} runs again`, () => ![0, before].includes(pidOf(supervisor, name)))
    t.is(await identify(before), undefined)
    await eventually(
      'stack.json knows',
      async () => (await readStackInfo(temporary.config))?.pids[name] === pidOf(supervisor, name),
    )
  }
  const written = () => readFile(join(temporary.config.names.logs, 'storage.log'), 'utf8')
  await eventually(
    'the second start is in the log',
    async () => (await written()).match(/service started/g)?.length === 2,
  )
})

test('one root has one supervisor', async (t) => {
  await using temporary = await temporaryConfig()
  await using _supervisor = await supervised(temporary.config)
  await t.throwsAsync(supervise(temporary.config, { log, services: [quiet] }), {
    code: 'conflict',
    message: new RegExp(`a supervisor runs as process ${process.pid}; "dolly down" stops it`),
  })
  t.truthy(await readStackInfo(temporary.config), 'the refused one has not touched the files of the first')
})

test('the pid file of a supervisor that was killed does not stand in the way', async (t) => {
  await using temporary = await temporaryConfig()
  const { config } = temporary
  await writeFile(join(config.root, 'supervisor.pid'), JSON.stringify({ pid: process.pid, startTicks: '1' }))
  t.is(await readStackInfo(config), undefined, 'the pid belongs to another process now')
  await using supervisor = await supervised(config)
  t.is(supervisor.info().supervisor, process.pid)
})

test('two stacks run side by side without touching each other', async (t) => {
  await using one = await temporaryConfig()
  await using other = await temporaryConfig()
  await using first = await supervised(one.config)
  const second = await supervised(other.config)
  t.not(first.info().url, second.info().url)
  t.not(first.info().bridge, second.info().bridge)
  await second.stop()
  t.truthy(await identify(pidOf(first, 'storage')))
  t.deepEqual(await readStackInfo(one.config), first.info())
})

test('a service that cannot ready its host fails the start with its own reason, and all is stopped', async (t) => {
  await using temporary = await temporaryConfig({ DOLLY_LOG_LEVEL: 'info' })
  const { config } = temporary
  await t.throwsAsync(supervise(config, { log, services: [quiet, unfit] }), {
    code: 'host_unfit',
    message:
      /^cannot start network: it ended with exit code 69: cannot ready the host: cannot use subnet 10\.9\.0\.0\/16: the host routes it$/,
  })
  t.is(await readStackInfo(config), undefined)
  await using _again = await supervised(config)
})

test('a start that is asked to stop stops', async (t) => {
  await using temporary = await temporaryConfig()
  const stopping = new AbortController()
  const starting = supervise(temporary.config, {
    log,
    services: [quiet],
    signal: stopping.signal,
    onProgress: () => stopping.abort(new Error('asked')),
  })
  await t.throwsAsync(starting, { message: 'asked' })
  t.is(await readStackInfo(temporary.config), undefined)
})

test('a program whose log cannot be opened is started as soon as it can', async (t) => {
  await using temporary = await temporaryConfig()
  const { root } = temporary.config
  const inTheWay = join(root, 'log')
  await writeFile(inTheWay, '')
  const program = { name: 'sleeper', command: 'sleep', args: ['1000'], cwd: '/', env: process.env }
  const kept = keepRunning(
    { ...program, logFile: join(inTheWay, 'sleeper.log') },
    { log, onChange: () => {} },
  )
  t.teardown(() => kept.stop())
  await eventually('it cannot run', () => kept.lastExit() !== undefined)
  t.regex(kept.lastExit() ?? '', /cannot be run: EEXIST/)
  await rm(inTheWay)
  await eventually('it runs', () => kept.pid() !== undefined)
})

test('what only reads the files of a stack is none of its processes', async (t) => {
  await using temporary = await temporaryConfig()
  const { config } = temporary
  const env = { ...process.env, DOLLY_ROOT: config.root }
  await mkdir(config.names.nats, { recursive: true })
  const configuration = join(config.names.nats, 'nats.conf')
  await writeFile(configuration, '')
  const readers = [configuration, 'services/storage/main.ts'].map((file) =>
    spawn('tail', ['-f', file], { env, stdio: 'ignore' }),
  )
  t.teardown(() => readers.forEach((reader) => reader.kill()))
  await Promise.all(readers.map((reader) => once(reader, 'spawn')))
  t.is(await endOrphans(config), 0)
  t.deepEqual(
    readers.map(({ exitCode, signalCode }) => exitCode ?? signalCode),
    [null, null],
  )
})

test('a start that waits for a bus elsewhere ends when it is asked to, and leaves no process', async (t) => {
  await using temporary = await temporaryConfig()
  const config = { ...temporary.config, natsUrl: 'nats://127.0.0.1:1' }
  const stop = new AbortController()
  setTimeout(() => stop.abort(new Failure('interrupted', 'asked to stop')), 1000)
  const starting = supervise(config, { log, services: [quiet], signal: stop.signal })
  await t.throwsAsync(starting, { code: 'unavailable', message: /127\.0\.0\.1:1/ })
  t.deepEqual(await findProcesses(() => true, [`DOLLY_ROOT=${config.root}`]), [])
})

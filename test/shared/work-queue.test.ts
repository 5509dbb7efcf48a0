import { mkdir } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { bootstrapBus } from '../../services/cli/stack/bootstrap-bus.ts'
import { startNatsServer as start } from '../../services/cli/stack/start-nats-server.ts'
import { connectBus } from '../../shared/bus.ts'
import { Failure } from '../../shared/failure.ts'
import { createLog } from '../../shared/log.ts'
import { patienceMs } from '../../shared/patience.ts'
import { subjects } from '../../shared/subjects.ts'
import { temporaryConfig } from '../helpers/host.ts'
import { startNatsServer } from '../helpers/stack.ts'

test('what waits in the queue before a command is known, and a bus that is away is not taken for an empty queue', async (t) => {
  await using server = await startNatsServer()
  await using client = await server.bus('client')
  await using bus = await server.bus('orchestrator')
  t.deepEqual(await bus.pendingCommands(subjects.create, 10), [])
  await client.publishCommand(subjects.create, { id: 'a' })
  const { sequence } = await client.publishCommand(subjects.delete, { id: 'a' })
  t.is((await bus.pendingCommands(subjects.create, sequence)).length, 1)
  await server.stop()
  const error = await t.throwsAsync(bus.pendingCommands(subjects.create, sequence), { instanceOf: Failure })
  t.true(error?.retryable)
  await server.start()
})

test('a receipt that does not come in time is asked for again, and the command is there once', async (t) => {
  await using server = await startNatsServer()
  await using client = await server.bus('client')
  const pid = server.pid()
  if (pid === undefined) throw new Error('the server does not run')
  process.kill(pid, 'SIGSTOP')
  const published = client.publishCommand(subjects.create, { id: 'a' }, { messageId: 'once' })
  // The time of two answers, and some of a third's.
  await delay(patienceMs(17_000)).finally(() => process.kill(pid, 'SIGCONT'))
  t.like(await published, { stream: 'COMMANDS', sequence: 1 })
  await using bus = await server.bus('orchestrator')
  t.deepEqual(
    (await bus.pendingCommands(subjects.create)).map(({ messageId }) => messageId),
    ['once'],
  )
})

test('what is published before a new server has its streams is there once it has', async (t) => {
  const log = createLog({}, 'silent')
  await using temporary = await temporaryConfig()
  const { config } = temporary
  await mkdir(config.names.logs, { recursive: true })
  const { server } = await start(config, { log })
  await using _stopped = { [Symbol.asyncDispose]: () => server.stop() }
  const client = await connectBus(config, { role: 'client', log, patient: false })
  await using _closed = { [Symbol.asyncDispose]: () => client.close() }
  const published = client.publishCommand(subjects.create, { id: 'a' }, { messageId: 'once' })
  await delay(100)
  await bootstrapBus(config, log)
  t.like(await published, { stream: 'COMMANDS', sequence: 1 })
})

import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { ulid } from 'ulid'
import { startSupervisor } from '../../services/cli/stack/up.ts'
import { isAlive } from '../../services/cli/stack/process-table.ts'
import { serviceNames } from '../../services/cli/stack/project.ts'
import { patienceMs } from '../../shared/patience.ts'
import { subjects } from '../../shared/subjects.ts'
import { accepted, sleeping } from '../helpers/fault-commands.ts'
import { deleteAndProve, faultyStackFor, proveExactness } from '../helpers/fault-matrix.ts'
import { moreOrchestrators, natsServerOf, processesOf, signal } from '../helpers/fault-processes.ts'
import { tracesBeside, tracesOf } from '../helpers/fault-traces.ts'
import { eventually } from '../helpers/stack.ts'

const patientMs = 120_000
/** When a supervisor kills whom it has asked to end. */
const killedAfterMs = 10_000

type Parts = Awaited<ReturnType<typeof faultyStackFor>>

const killBus = async ({ stack }: Parts): Promise<void> => {
  for (const { pid } of await natsServerOf(stack.config)) signal(pid, 'SIGKILL')
}

/** Seconds of sleep that no other process of the machine has: they tell a container's processes apart. */
let unique = 700_000 + (process.pid % 10_000) * 10

const createMany = async ({ client }: Parts, count: number, during: () => Promise<void>) => {
  const containers = Array.from({ length: count }, () => ({ id: ulid(), seconds: String(unique++) }))
  const publishing = containers.map(({ id, seconds }) =>
    accepted(client, subjects.create, { id, image: 'busybox', command: ['sleep', seconds] }),
  )
  await during()
  return { containers, commands: await Promise.all(publishing) }
}

test.serial('the bus killed again and again amid creates and deletes: each is done once', async (t) => {
  t.timeout(patienceMs(300_000))
  const parts = await faultyStackFor(t)
  const { stack, client } = parts
  const more = await moreOrchestrators(stack, 1)
  t.teardown(() => more[Symbol.asyncDispose]())
  const commands: string[] = []
  for (let round = 0; round < 3; round++) {
    const made = await createMany(parts, 6, () => killBus(parts))
    for (const [index, commandId] of made.commands.entries()) {
      const outcome = await client.outcome(commandId, patientMs)
      t.is(outcome.type, 'container.running', JSON.stringify(outcome))
      const { id, seconds } = made.containers[index]!
      await eventually(`${id} has one process`, () => sleeping(seconds) === 1)
    }
    const deletes = made.containers.map(({ id }) => accepted(client, subjects.delete, { id, force: true }))
    await killBus(parts)
    const deleted = await Promise.all(deletes)
    for (const commandId of deleted)
      t.is((await client.outcome(commandId, patientMs)).type, 'container.deleted')
    for (const { id } of made.containers) t.deepEqual(tracesOf(stack.config, id), [])
    commands.push(...made.commands, ...deleted)
  }
  await proveExactness(t, parts, commands)
  t.deepEqual(tracesBeside(stack.config, []), [])
})

test.serial('a bus that does not answer keeps no service from ending when it is asked to', async (t) => {
  const { stack, client } = await faultyStackFor(t, { DOLLY_RECONCILE_MS: '300' })
  const { id, pid: init = 0 } = await client.create({ command: ['sleep', '1000'] })
  const services = (await Promise.all(serviceNames.map((name) => processesOf(stack.config, name)))).flat()
  const servers = await natsServerOf(stack.config)
  const wake = () => {
    for (const { pid } of servers) signal(pid, 'SIGCONT')
  }
  t.teardown(wake)
  for (const { pid } of servers) signal(pid, 'SIGSTOP')
  signal(init, 'SIGKILL') // which its host cannot tell anyone
  await delay(1000) // a round of the reconciler waits for an answer by now
  const began = performance.now()
  for (const { pid } of services) signal(pid, 'SIGTERM')
  for (const service of services)
    await eventually(`${service.pid} has ended`, async () => !(await isAlive(service)), killedAfterMs)
  const tookMs = Math.round(performance.now() - began)
  t.log(`all have ended after ${tookMs} ms`)
  t.true(tookMs < patienceMs(killedAfterMs))
  wake()
  t.is((await client.exited(id, patientMs)).data['exitCode'], 137)
})

test.serial(
  'the bus away for 20 seconds: containers run on, and what was accepted is done when it is back',
  async (t) => {
    t.timeout(patienceMs(300_000))
    const parts = await faultyStackFor(t)
    const { stack, client } = parts
    const services = await Promise.all(serviceNames.map((name) => processesOf(stack.config, name)))
    const steady = await createMany(parts, 1, async () => {})
    await client.outcome(steady.commands[0] ?? '', patientMs)
    const ending = await client.create({ command: ['sleep', '6'] })

    const made = await createMany(parts, 4, async () => {
      await eventually('the log has begun with one of them', () =>
        client.events.some(({ type, subject }) => type === 'saga.started' && ![ending.id].includes(subject)),
      )
      signal(stack.info.supervisor, 'SIGSTOP')
      t.teardown(() => signal(stack.info.supervisor, 'SIGCONT'))
      await killBus(parts)
      const until = Date.now() + 20_000
      await eventually('20 seconds have passed', () => Date.now() > until, 30_000)
      t.is(sleeping(steady.containers[0]?.seconds ?? ''), 1, 'a container does not need the bus')
      signal(stack.info.supervisor, 'SIGCONT')
    })
    for (const commandId of made.commands)
      t.is((await client.outcome(commandId, patientMs)).type, 'container.running')
    for (const { seconds } of made.containers)
      await eventually('it has one process', () => sleeping(seconds) === 1)
    t.is(
      (await client.exited(ending.id, patientMs)).data['exitCode'],
      0,
      'an exit while the bus was away is told',
    )
    t.deepEqual(
      await Promise.all(serviceNames.map((name) => processesOf(stack.config, name))),
      services,
      'no service ended for it',
    )
    const deleted: string[] = []
    for (const { id } of [...made.containers, ...steady.containers, ending])
      deleted.push(await deleteAndProve(t, parts, id))
    await proveExactness(t, parts, [...steady.commands, ...made.commands, ...deleted])
  },
)

test.serial(
  'everything killed at once and brought up again: what was accepted converges, what ran still runs',
  async (t) => {
    t.timeout(patienceMs(300_000))
    const parts = await faultyStackFor(t)
    const { stack, client } = parts
    const { config } = stack
    const steady = await createMany(parts, 2, async () => {})
    for (const commandId of steady.commands) await client.outcome(commandId, patientMs)
    const letGo: (() => void)[] = []
    const commands = [...steady.commands]
    const living = [...steady.containers]
    let supervisor = stack.info.supervisor

    for (let round = 0; round < 3; round++) {
      const made = await createMany(parts, 6, async () => {
        // The supervisor first: it would bring back what dies.
        signal(supervisor, 'SIGKILL')
        const services = await Promise.all(serviceNames.map((name) => processesOf(config, name)))
        for (const { pid } of [...(await natsServerOf(config)), ...services.flat()]) signal(pid, 'SIGKILL')
        // It may only just have been started, and not be its command yet.
        for (const { seconds } of living)
          await eventually('a container outlives every service', () => sleeping(seconds) === 1)
        const again = await startSupervisor(config, { bound: true })
        supervisor = again.info.supervisor
        letGo.push(again.letGo)
      })
      for (const commandId of made.commands)
        t.is((await client.outcome(commandId, patientMs)).type, 'container.running')
      commands.push(...made.commands)
      living.push(...made.containers)
    }
    for (const { seconds } of living) await eventually('it has one process', () => sleeping(seconds) === 1)
    for (const { id } of living) commands.push(await deleteAndProve(t, parts, id))
    await proveExactness(t, parts, commands)
    t.deepEqual(tracesBeside(config, []), [])
    for (const go of letGo) go()
  },
)

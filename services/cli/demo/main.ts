import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ulid } from 'ulid'
import { type Bus, connectBus } from '../../../shared/bus.ts'
import { type Config, loadConfig } from '../../../shared/config.ts'
import type { ContainerCreate } from '../../../shared/contracts/container-create.ts'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { Failure, reasonOf } from '../../../shared/failure.ts'
import { shortHash } from '../../../shared/names.ts'
import { subjects } from '../../../shared/subjects.ts'
import { ask, askPages } from '../commands/bus/ask.ts'
import { command } from '../commands/bus/command.ts'
import { noLog, withSession } from '../commands/bus/session.ts'
import { removeContainer } from '../commands/launch/removal.ts'
import { failureLine } from '../output/failure.ts'
import { shortMs } from '../output/time.ts'
import { down } from '../stack/down.ts'
import { startSupervisor } from '../stack/up.ts'
import { hostObjects } from './host-objects.ts'
import { proofsOf, prove } from './proofs.ts'
import { heading, note, showSteps } from './screen.ts'

/** The lab's container, with the lab's own limits: 1 % of a processor, 512 MB, 256 files, 512 processes. */
const message = {
  id: ulid(),
  name: 'dolly',
  hostname: 'dolly',
  image: 'busybox',
  command: ['sh'],
  tty: true,
  stdin_open: true,
  cpu_period: 100_000,
  cpu_quota: 1000,
  mem_limit: '512M',
  ulimits: { nofile: 256, nproc: 512, locks: 32 },
  dns: ['8.8.8.8'],
  // For busybox's ping, which asks for a raw socket.
  cap_add: ['NET_RAW'],
} satisfies ContainerCreate

const display = { show: showSteps, [Symbol.dispose]: () => {} }

/** Publishes one command as any client may, shows what follows, and resolves with its outcome. */
const publish = async (bus: Bus, subject: string, body: { id: string }, after: 'all' | number) => {
  const begun = performance.now()
  const { outcome, events } = await command(bus, { subject, id: body.id, body }, { after, display })
  await events[Symbol.asyncDispose]()
  note(`→ ${outcome.type} after ${shortMs(performance.now() - begun)}`)
}

const lab = async (config: Config): Promise<number> => {
  const client = await connectBus(config, { role: 'client', log: noLog, patient: false })
  try {
    return await withSession(async (session) => {
      heading('One message to container.create, by a plain NATS client')
      note(JSON.stringify(message))
      await publish(client, subjects.create, message, 'all')
      const container = await ask(session.bus, verbs.containerGet, { container: message.id })

      heading("The lab's own proofs, from inside the container and from the kernel")
      let broken = await prove(proofsOf(session, container))

      heading('One message to container.delete: the same steps backwards')
      await publish(client, subjects.delete, { id: message.id }, container.sequence)
      const { leaks } = await ask(session.bus, verbs.leaks, {})
      for (const { kind, name } of leaks) note(`✖ left: ${kind} ${name}`)
      if (leaks.length === 0) note('✔ dolly doctor --leaks: nothing is left of it')
      broken += leaks.length
      return broken
    }, config)
  } finally {
    await client.close()
  }
}

/** Deletes the container if the demo ended before it did. */
const removeRest = (config: Config): Promise<void> =>
  withSession(async ({ bus }) => {
    const pages = await askPages(bus, verbs.containerList, { all: true })
    for (const { id } of pages.flatMap(({ containers }) => containers))
      await removeContainer(bus, id, { force: true, quiet: true })
  }, config)

/** A stack of its own in a temporary root; disposing stops it and removes the root. */
const temporaryStack = async () => {
  const root = await mkdtemp(join(tmpdir(), 'dolly-demo-'))
  const config = loadConfig({ DOLLY_ROOT: root, DOLLY_NODE: `demo-${shortHash(root, 6)}` })
  const removeRoot = () => rm(root, { recursive: true, force: true })
  heading(`A stack of its own in ${root}`)
  try {
    const supervisor = await startSupervisor(config, { bound: true, onProgress: note })
    return {
      config,
      [Symbol.asyncDispose]: async () => {
        heading('The stack goes down')
        await removeRest(config).catch((error: unknown) => note(reasonOf(error)))
        await down(config, { onProgress: note })
        supervisor.letGo()
        await removeRoot()
      },
    }
  } catch (error) {
    await removeRoot()
    throw error
  }
}

const interruption = (): Promise<never> =>
  new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.once(signal, () => reject(new Failure('interrupted', `cannot finish the demo: got ${signal}`)))
    }
  })

const demo = async (): Promise<number> => {
  const interrupted = interruption()
  interrupted.catch(() => {}) // it may come before anything waits for it
  let config: Config
  let broken: number
  {
    await using stack = await temporaryStack()
    config = stack.config
    broken = await Promise.race([lab(config), interrupted])
  }
  const left = await hostObjects(config)
  for (const object of left) note(`✖ left on the host: ${object}`)
  if (left.length === 0)
    note('✔ no mount, link, network namespace, cgroup, loop device, table or process is left')
  return broken + left.length
}

const begun = performance.now()
try {
  const broken = await demo()
  heading(
    broken === 0
      ? `Everything holds, in ${((performance.now() - begun) / 1000).toFixed(1)} seconds`
      : `${broken} of the proofs did not hold`,
  )
  process.exitCode = broken === 0 ? 0 : 1
} catch (error) {
  console.error(failureLine('finish the demo', error))
  process.exitCode = 1
}

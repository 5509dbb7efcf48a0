import { readFile, stat } from 'node:fs/promises'
import test from 'ava'
import { ulid } from 'ulid'
import { natsFiles } from '../../services/cli/stack/nats-configuration.ts'
import { rotateBus } from '../../services/cli/stack/rotate-bus.ts'
import { connectBus } from '../../shared/bus.ts'
import { busAccess } from '../../shared/config.ts'
import { createLog } from '../../shared/log.ts'
import { subjects } from '../../shared/subjects.ts'
import { containerClient } from '../helpers/container-client.ts'
import { accepted } from '../helpers/fault-commands.ts'
import { pidOf } from '../helpers/fault-processes.ts'
import { eventually, startStack } from '../helpers/stack.ts'

const log = createLog({}, 'silent')
const services = ['storage', 'cgroup', 'network', 'namespace', 'orchestrator']

test('passwords are exchanged under a running stack: no service restarts, no command is lost', async (t) => {
  t.timeout(180_000)
  await using stack = await startStack()
  const { config } = stack
  await using client = await containerClient(config)
  const kept = await client.create({ command: ['sleep', '1000'] })
  const pids = () => Promise.all(services.map((service) => pidOf(config, service)))
  const before = await pids()
  const old = busAccess(config, 'client')

  const commands: string[] = []
  let rotating = true
  const publishing = (async () => {
    while (rotating || commands.length < 10) {
      const message = { id: ulid(), image: 'busybox', command: ['sleep', '1000'] }
      commands.push(await accepted(client, subjects.create, message))
    }
  })()
  await eventually('commands are under way', () => commands.length > 2)
  const began = performance.now()
  const users = await rotateBus(config, log)
  t.log(`rotated in ${Math.round(performance.now() - began)} ms`)
  rotating = false
  await publishing

  const own = [...services, 'registrar'].map((name) => `${name}@${config.node}`)
  t.deepEqual(users, [...own, 'bootstrap', 'client', 'operator'])
  t.log(`${commands.length} commands meanwhile`)
  for (const commandId of commands) {
    t.is((await client.outcome(commandId)).type, 'container.running')
    t.is(client.outcomesOf(commandId).length, 1)
  }
  t.deepEqual(await pids(), before)
  t.is((await client.get(kept.id)).pid, kept.pid)

  const { user, password } = busAccess(config, 'client')
  t.not(password, old.password)
  const as = (secret?: string) => ({ ...config, natsUrl: old.url, natsUser: user, natsPassword: secret })
  await t.throwsAsync(connectBus(as(old.password), { role: 'client', log, patient: false }), {
    code: 'not_permitted',
  })
  await (await connectBus(as(password), { role: 'client', log, patient: false })).close()
  const { access, configuration } = natsFiles(config)
  for (const file of [access, configuration]) t.is((await stat(file)).mode & 0o777, 0o600)
  t.false((await readFile(configuration, 'utf8')).includes(old.password ?? ''))
  t.true((await stack.bus.ping('storage')).length === 1, 'a connection that stays has the new password')
})

test('the users of a bus whose server is elsewhere are not ours to rotate', async (t) => {
  await using stack = await startStack()
  const elsewhere = { ...stack.config, names: { ...stack.config.names, nats: `${stack.config.root}/absent` } }
  await t.throwsAsync(rotateBus(elsewhere, log), { code: 'not_found', message: /where its server is/ })
})

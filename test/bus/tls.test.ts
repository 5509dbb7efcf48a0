import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { connectBus } from '../../shared/bus.ts'
import { type Config, loadConfig } from '../../shared/config.ts'
import { createLog } from '../../shared/log.ts'
import { certificateAuthority } from '../helpers/certificates.ts'
import { containerClient } from '../helpers/container-client.ts'
import { startNatsServer, startStack } from '../helpers/stack.ts'

const log = createLog({}, 'silent')
let directory: string
let own: Awaited<ReturnType<typeof certificateAuthority>>
let foreign: Awaited<ReturnType<typeof certificateAuthority>>

test.before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dolly-test-tls-'))
  own = await certificateAuthority(directory, 'own')
  foreign = await certificateAuthority(directory, 'foreign')
})
test.after.always(() => directory && rm(directory, { recursive: true, force: true }))

const connects = async (config: Config): Promise<string> => {
  try {
    await (await connectBus(config, { role: 'client', log, patient: false })).close()
    return 'connected'
  } catch (error) {
    return String(error)
  }
}

const mutual = async (name: string) => {
  const server = await own.sign(`${name}-server`)
  const program = await own.sign(`${name}-program`)
  return {
    DOLLY_NATS_CA: own.ca,
    DOLLY_NATS_SERVER_CERT: server.cert,
    DOLLY_NATS_SERVER_KEY: server.key,
    DOLLY_NATS_CLIENT_CA: own.ca,
    DOLLY_NATS_CERT: program.cert,
    DOLLY_NATS_KEY: program.key,
  }
}

test('with TLS, the server proves who it is and refuses plain text', async (t) => {
  const { cert, key } = await own.sign('tls')
  await using server = await startNatsServer({
    DOLLY_NATS_CA: own.ca,
    DOLLY_NATS_SERVER_CERT: cert,
    DOLLY_NATS_SERVER_KEY: key,
  })
  const { config } = server
  t.is(await connects(config), 'connected')
  const trusting = (ca: string | undefined) => ({ ...config, natsTls: { ...config.natsTls, ca } })
  t.regex(await connects(trusting(foreign.ca)), /cannot reach the bus/)
  t.regex(await connects(trusting(undefined)), /cannot reach the bus/)
})

test('with mutual TLS, credentials alone are not enough', async (t) => {
  await using server = await startNatsServer(await mutual('bare'))
  const { config } = server
  t.is(await connects(config), 'connected')
  const showing = (shown: { cert?: string; key?: string }) => ({
    ...config,
    natsTls: { ...config.natsTls, cert: undefined, key: undefined, ...shown },
  })
  const { cert, key } = await foreign.sign('program')
  const tried = await Promise.all([connects(showing({})), connects(showing({ cert, key }))])
  for (const said of tried) t.regex(said, /cannot reach the bus/, 'none, or of a foreign authority')
})

test('half of what TLS takes is refused in one line', async (t) => {
  const { cert, key } = await own.sign('half')
  await t.throwsAsync(startNatsServer({ DOLLY_NATS_SERVER_CERT: cert }), {
    code: 'host_unfit',
    message: /DOLLY_NATS_SERVER_KEY and DOLLY_NATS_CA go together/,
  })
  const absent = { DOLLY_NATS_CA: join(directory, 'absent.pem') }
  t.throws(() => loadConfig(absent), { message: /cannot use DOLLY_NATS_CA: .*absent\.pem/ })
  await chmod(key, 0o644)
  t.throws(() => loadConfig({ DOLLY_NATS_KEY: key }), {
    message: /DOLLY_NATS_KEY: others can read .*mode 600/,
  })
})

test('a whole stack works over mutual TLS', async (t) => {
  await using stack = await startStack(await mutual('stack'))
  await using client = await containerClient(stack.config)
  t.is((await client.create({ command: ['sleep', '1000'] })).status, 'running')
})

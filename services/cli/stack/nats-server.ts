import { randomBytes } from 'node:crypto'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { type Socket, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type BusAccess, type Config, readAccess } from '../../../shared/config.ts'
import { Failure } from '../../../shared/failure.ts'
import { accountsOf } from './nats-accounts.ts'
import { type BusRole, busRoles, userOf } from './nats-permissions.ts'

const usualPort = 4222
// Said, not derived from free space: streams reserve their bounds, which a small disk would refuse.
const storeLimits = { max_file_store: 8 * 2 ** 30, max_memory_store: 2 ** 28 }
const host = '127.0.0.1'

/** Files of the embedded server under `<root>/nats`. */
export const natsFiles = ({ names }: Config) => ({
  configuration: join(names.nats, 'nats.conf'),
  access: join(names.nats, 'access.json'),
  store: join(names.nats, 'jetstream'),
})

/** How the embedded server of this stack is known on the wire, so that a foreign one on its port is noticed. */
export const serverName = ({ node, tag }: Config): string => `dolly-${tag}-${node}`

/** Port 0 asks the kernel for a free one. */
const bindable = async (port: number): Promise<number | undefined> => {
  const server = createServer()
  const { promise, resolve } = Promise.withResolvers<number | undefined>()
  server.once('error', () => resolve(undefined))
  server.listen(port, host, () => {
    const address = server.address()
    server.close(() => resolve(typeof address === 'object' ? address?.port : undefined))
  })
  return promise
}

const freePort = async (preferred: number[]): Promise<number> => {
  for (const port of [...preferred, 0]) {
    const bound = await bindable(port)
    if (bound !== undefined) return bound
  }
  throw new Failure('host_unfit', `cannot find a free port on ${host}`)
}

// Written beside and renamed: a crash leaves the old file or the new one, never half of one.
const writeSecret = async (file: string, text: string): Promise<void> => {
  await writeFile(`${file}.new`, text, { mode: 0o600 })
  await rename(`${file}.new`, file)
}

/** Throws `Failure` (`host_unfit`) when a part of what TLS takes is missing. */
const tlsOf = ({ natsTls: { ca, serverCert, serverKey, clientCa } }: Config): object => {
  if (!serverCert && !serverKey && !clientCa) return {}
  if (!serverCert || !serverKey || !ca)
    throw new Failure(
      'host_unfit',
      'cannot use TLS on the bus: DOLLY_NATS_SERVER_CERT, DOLLY_NATS_SERVER_KEY and DOLLY_NATS_CA go together',
    )
  const verify = clientCa ? { ca_file: clientCa, verify: true } : {}
  return { tls: { cert_file: serverCert, key_file: serverKey, ...verify } }
}

const configurationOf = (config: Config, access: BusAccess): object => ({
  server_name: serverName(config),
  listen: new URL(access.url).host,
  ...tlsOf(config),
  max_payload: 1_048_576,
  // Without `always`, acknowledged events may be lost for up to two minutes of a power failure.
  jetstream: { store_dir: natsFiles(config).store, sync_interval: 'always', ...storeLimits },
  accounts: accountsOf(access, config.node),
})

/** The password that the role's user had, or a new one. */
const credentials = ({ node }: Config, role: BusRole, before?: BusAccess) => {
  const user = userOf(role, node)
  const known = before?.users[role]
  return known?.user === user ? known : { user, password: randomBytes(32).toString('base64url') }
}

/**
 * Writes the configuration and the credentials of the embedded server; passwords and the port are
 * kept from an earlier start, except a port that is now in use.
 */
export const writeNatsConfiguration = async (
  config: Config,
  { anyPort = false }: { anyPort?: boolean } = {},
): Promise<BusAccess> => {
  const { configuration, access: accessFile, store } = natsFiles(config)
  await mkdir(store, { recursive: true, mode: 0o700 })
  const before = readAccess(accessFile)
  const port = await freePort(anyPort ? [] : [before ? Number(new URL(before.url).port) : usualPort])
  const access = {
    url: `nats://${host}:${port}`,
    users: Object.fromEntries(busRoles.map((role) => [role, credentials(config, role, before)])),
  }
  await writeSecret(accessFile, JSON.stringify(access, null, 2))
  // The server's configuration language is a superset of JSON.
  await writeSecret(configuration, JSON.stringify(configurationOf(config, access), null, 2))
  return access
}

const greetingOf = async (socket: Socket): Promise<{ server_name?: string }> => {
  let text = ''
  for await (const chunk of socket) {
    text += String(chunk)
    if (text.includes('\r\n')) break
  }
  return JSON.parse(/^INFO (.*)\r\n/.exec(text)?.[1] ?? '{}')
}

/** The name with which the server at the address greets, or undefined when none does. */
export const greetingName = async (url: string): Promise<string | undefined> => {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port) })
  socket.setTimeout(1000, () => socket.destroy())
  try {
    return (await greetingOf(socket)).server_name
  } catch {
    return undefined // refused, closed or no NATS: whoever it is, it does not greet as a server
  } finally {
    socket.destroy()
  }
}

/** Waits until this stack's own server answers. Throws `Failure` (`timeout`) or whatever `ended` rejects with. */
export const natsAnswers = async (
  config: Config,
  { url, ended }: { url: string; ended: () => string | undefined },
): Promise<void> => {
  const deadline = performance.now() + 15_000
  while ((await greetingName(url)) !== serverName(config)) {
    const reason = ended()
    if (reason) throw new Failure('unavailable', `cannot start the NATS server: ${reason}`)
    if (performance.now() > deadline)
      throw new Failure(
        'timeout',
        `cannot start the NATS server: nothing answers as ${serverName(config)} at ${url}`,
      )
    await delay(10)
  }
}

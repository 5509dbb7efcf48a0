import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BusAccess, type Config, defaultRoot, readAccess } from '../../../shared/config.ts'
import { writeDurably } from '../../../shared/durable-file.ts'
import { Failure, errnoOf } from '../../../shared/failure.ts'
import { accessFile, writeAccess } from './access-files.ts'
import { readFleet, type Fleet } from '../join/fleet.ts'
import { accountsOf } from './nats-accounts.ts'
import { freePort, isFree, loopback } from './nats-port.ts'
import { type BusRole, busRoles, userOf } from './nats-permissions.ts'

/** Where a bus is unless something else is there. */
export const usualPort = 4222

/**
 * Of a stack beside the usual one: its own, below those that the kernel gives to connections. With one
 * port for all, a server that is away for a moment would find another stack's in its place.
 */
const ownPort = (root: string): number =>
  20_000 + (createHash('sha256').update(root).digest().readUInt16BE(0) % 12_000)

// Said, not derived from free space: streams reserve their bounds, which a small disk would refuse.
const storeLimits = { max_file_store: 8 * 2 ** 30, max_memory_store: 2 ** 28 }

/** Files of the embedded server under `<root>/nats`. */
export const natsFiles = ({ names }: Pick<Config, 'names'>) => ({
  configuration: join(names.nats, 'nats.conf'),
  access: accessFile(names),
  store: join(names.nats, 'jetstream'),
})

/** How the embedded server of this stack is known on the wire, so that a foreign one on its port is noticed. */
export const serverName = ({ node, tag }: Config): string => `dolly-${tag}-${node}`

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

const configurationOf = (config: Config, access: BusAccess, fleet: Fleet): object => ({
  server_name: serverName(config),
  listen: new URL(access.url).host,
  ...tlsOf(config),
  max_payload: 1_048_576,
  // Without `always`, acknowledged events may be lost for up to two minutes of a power failure.
  jetstream: { store_dir: natsFiles(config).store, sync_interval: 'always', ...storeLimits },
  accounts: accountsOf(access, config.node, fleet),
})

/** The password that the role's user had, or a new one. */
const credentials = ({ node }: Config, role: BusRole, before?: BusAccess) => {
  const user = userOf(role, node)
  const known = before?.users[role]
  // Of a bus that this host had joined it has keys, which no server of its own takes.
  return known?.user === user && 'password' in known
    ? known
    : { user, password: randomBytes(32).toString('base64url') }
}

const usersOf = (config: Config, before?: BusAccess): BusAccess['users'] =>
  Object.fromEntries(busRoles.map((role) => [role, credentials(config, role, before)]))

/** The server's configuration language is a superset of JSON. */
const asText = (value: object): string => JSON.stringify(value, null, 2)

/** Where the stack's own server is with this port. */
export const urlAt = ({ natsListen }: Config, port: number): string =>
  `nats://${natsListen ?? loopback}:${port}`

/** Writes the configuration and the credentials of a server at this port; passwords are kept from an earlier start. */
export const writeNatsConfigurationAt = async (config: Config, port: number): Promise<BusAccess> => {
  const { configuration, store } = natsFiles(config)
  await mkdir(store, { recursive: true, mode: 0o700 })
  const access = {
    url: urlAt(config, port),
    users: usersOf(config, readAccess(natsFiles(config).access)),
  }
  await writeAccess(config, access)
  await writeDurably(configuration, asText(configurationOf(config, access, await readFleet(config))))
  return access
}

/** The same for the embedded server; the port of an earlier start is kept too, unless it is now in use. */
export const writeNatsConfiguration = async (
  config: Config,
  { anyPort = false }: { anyPort?: boolean } = {},
): Promise<BusAccess> => {
  const before = readAccess(natsFiles(config).access)
  const first = config.root === defaultRoot ? usualPort : ownPort(config.root)
  const wanted = before ? Number(new URL(before.url).port) : first
  // Other hosts know the port.
  if (config.natsListen && !(await isFree(wanted, config.natsListen)))
    throw new Failure('conflict', `port ${wanted} of DOLLY_NATS_LISTEN "${config.natsListen}" is in use`)
  return writeNatsConfigurationAt(config, await freePort(anyPort ? [] : [wanted], config.natsListen))
}

const readConfiguration = async (file: string): Promise<string> => {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    throw new Failure(
      'not_found',
      `there is no ${file}: the users of this bus are made where its server is`,
      {
        cause: error,
      },
    )
  }
}

/**
 * Writes new passwords for every user of the embedded server, which takes them when it reads its
 * configuration again. Answers how to write the old ones back. Throws `Failure` (`not_found`).
 */
export const writeNewCredentials = async (config: Config): Promise<{ restore: () => Promise<void> }> => {
  const { configuration } = natsFiles(config)
  const text = await readConfiguration(configuration)
  const before = readAccess(natsFiles(config).access)
  if (!before) throw new Failure('not_found', `there is no ${natsFiles(config).access}`)
  const access = { ...before, users: usersOf(config) }
  const write = async (users: BusAccess, server: string) => {
    await writeAccess(config, users)
    await writeDurably(configuration, server)
  }
  const accounts = accountsOf(access, config.node, await readFleet(config))
  await write(access, asText({ ...JSON.parse(text), accounts }))
  return { restore: () => write(before, text) }
}

/** Writes the users of the embedded server anew, for this fleet. Throws `Failure` (`not_found`). */
export const rewriteAccounts = async (config: Config, fleet: Fleet): Promise<void> => {
  const { configuration, access: file } = natsFiles(config)
  const text = await readConfiguration(configuration)
  const access = readAccess(file)
  if (!access) throw new Failure('not_found', `there is no ${file}`)
  const accounts = accountsOf(access, config.node, fleet)
  await writeDurably(configuration, asText({ ...JSON.parse(text), accounts }))
}

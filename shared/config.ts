import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { Failure, errnoOf, reasonOf } from './failure.ts'
import { readJoined } from './joined.ts'
import { names, stackTag } from './names.ts'
import { nodeSettings } from './node-settings.ts'
import { NodeName } from './contracts/identity.ts'
import { quantity } from './contracts/quantity.ts'
import { rememberedNode, requireSameNode } from './root-node.ts'

/** A user proves to be itself by a password, or by the secret half of a key (`seed`) of which the server has the other. */
const Credentials = z.union([
  z.object({ user: z.string(), password: z.string() }),
  z.object({ user: z.string(), seed: z.string() }),
])
export type Credentials = z.infer<typeof Credentials>

/** What `<root>/nats/access.json` holds: where the bus is, and one user per role. Mode 0600. */
export const BusAccess = z.object({ url: z.string(), users: z.record(z.string(), Credentials) })
export type BusAccess = z.infer<typeof BusAccess>

/** Where a stack lives unless `DOLLY_ROOT` says otherwise. */
export const defaultRoot = '/var/lib/dolly'

const environmentOf = (env: NodeJS.ProcessEnv) => {
  const root = resolve(env['DOLLY_ROOT'] || defaultRoot)
  const joined = readJoined(root)
  const own = hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '-')
    .slice(0, 32)
  return { root, joined, node: env['DOLLY_NODE'] || joined?.node || rememberedNode(root) || own }
}

const requireSecret = (file: string): void => {
  const mode = statSync(file).mode & 0o777
  if (mode & 0o077) throw new Error(`others can read ${file} (mode ${mode.toString(8)}): give it mode 600`)
}

/** What a file that holds a secret says; undefined when there is none. Throws `Failure` (`host_unfit`) when others can read it. */
const readSecret = (file: string): string | undefined => {
  try {
    requireSecret(file)
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw new Failure('host_unfit', `cannot use ${file}: ${reasonOf(error)}`, { cause: error })
  }
}

/** What the access file of a bus says, if there is one. Throws `Failure` (`host_unfit`). */
export const readAccess = (file: string): BusAccess | undefined => {
  const text = readSecret(file)
  try {
    return text === undefined ? undefined : BusAccess.parse(JSON.parse(text))
  } catch (error) {
    throw new Failure('host_unfit', `cannot read ${file}: ${reasonOf(error)}`, { cause: error })
  }
}

/** Above the ranges of systemd-nspawn and below 2^31, where some programs take ids for negative. */
const defaultIdPool = '1879048192:268304384'
/** User and group ids of one container. */
export const idsPerContainer = 65_536

const idPoolOf = (text: string): { first: number; count: number } => {
  const [, first = '', size = ''] = /^(\d{1,10}):(\d{1,10})$/.exec(text) ?? []
  const pool = { first: Number(first), count: Math.floor(Number(size) / idsPerContainer) }
  const end = pool.first + pool.count * idsPerContainer
  if (pool.first >= idsPerContainer && pool.count > 0 && end < 2 ** 32) return pool
  throw new Failure(
    'invalid_message',
    `cannot use DOLLY_ID_POOL "${text}": give the first id, 65536 or more, and how many, as "${defaultIdPool}"`,
  )
}

/** Directories of the host, as in `/srv/labs:/data`. */
const bindAllowOf = (text: string): string[] => {
  const directories = text.split(':').filter(Boolean)
  const wrong = directories.find(
    (directory) => !directory.startsWith('/') || directory !== resolve(directory),
  )
  if (wrong === undefined) return directories
  throw new Failure(
    'invalid_message',
    `cannot use DOLLY_BIND_ALLOW "${text}": "${wrong}" is no absolute path; give directories as "/srv/labs:/data"`,
  )
}

const usualLaunches = 32

const launchesOf = (text: string): number => {
  const count = Number(text)
  if (Number.isInteger(count) && count > 0) return count
  throw new Failure('invalid_message', `cannot use DOLLY_MAX_LAUNCHES "${text}": give a number above 0`)
}

const optional = (value: string | undefined): string | undefined => (value === '' ? undefined : value)

/** The file that a variable names. Throws `Failure` (`host_unfit`) when it is not there or, a key, not secret. */
const fileOf = (env: NodeJS.ProcessEnv, name: string, { secret = false } = {}): string | undefined => {
  if (!env[name]) return undefined
  const path = resolve(env[name])
  try {
    if (secret) requireSecret(path)
    else accessSync(path, constants.R_OK)
    return path
  } catch (error) {
    throw new Failure('host_unfit', `cannot use ${name}: ${reasonOf(error)}`, { cause: error })
  }
}

/** Certificates of the bus, as PEM files; what is not given is not used. */
const tlsOf = (env: NodeJS.ProcessEnv, joinedCa?: string) => ({
  /** Who signed the server's certificate; giving it turns TLS on. */
  ca: fileOf(env, 'DOLLY_NATS_CA') ?? joinedCa,
  /** What this host's programs show the server, where it asks. */
  cert: fileOf(env, 'DOLLY_NATS_CERT'),
  key: fileOf(env, 'DOLLY_NATS_KEY', { secret: true }),
  /** What the stack's own server shows; giving them makes it refuse plain text. */
  serverCert: fileOf(env, 'DOLLY_NATS_SERVER_CERT'),
  serverKey: fileOf(env, 'DOLLY_NATS_SERVER_KEY', { secret: true }),
  /** Who signed the certificates that the stack's own server asks of everyone: mutual TLS. */
  clientCa: fileOf(env, 'DOLLY_NATS_CLIENT_CA'),
})

/**
 * The stack this process belongs to, from `DOLLY_ROOT`, `DOLLY_NODE`, `DOLLY_NATS_URL` and the other
 * `DOLLY_*` variables. Throws `Failure` (`invalid_message`) with the variable's name when one is wrong, and
 * (`conflict`) when the root's stack is another node.
 */
export const loadConfig = (env: NodeJS.ProcessEnv = process.env) => {
  const { root, joined, node } = environmentOf(env)
  const parsed = NodeName.safeParse(node)
  if (!parsed.success)
    throw new Failure(
      'invalid_message',
      `cannot use DOLLY_NODE "${node}": ${parsed.error.issues[0]?.message}`,
    )
  requireSameNode(root, node)
  const size = quantity(env['DOLLY_COWFS_SIZE'] || '10G')
  if (size === undefined)
    throw new Failure(
      'invalid_message',
      `cannot use DOLLY_COWFS_SIZE "${env['DOLLY_COWFS_SIZE']}": give a size as "10G"`,
    )
  const rootSize = quantity(env['DOLLY_ROOT_SIZE'] || String(Math.ceil(size / 10)))
  if (!rootSize)
    throw new Failure(
      'invalid_message',
      `cannot use DOLLY_ROOT_SIZE "${env['DOLLY_ROOT_SIZE']}": give a size as "1G"`,
    )
  const eventsMaxBytes = quantity(env['DOLLY_EVENTS_MAX_BYTES'] || '4G')
  if (eventsMaxBytes === undefined)
    throw new Failure(
      'invalid_message',
      `cannot use DOLLY_EVENTS_MAX_BYTES "${env['DOLLY_EVENTS_MAX_BYTES']}": give a size as "4G"`,
    )
  const tag = stackTag(root, node)
  return {
    root,
    node,
    tag,
    names: names({ root, tag }),
    /** Bytes of the file that holds the copy-on-write file system. */
    cowfsSizeBytes: size,
    /** Bytes that a container may add to its image unless its `storage_opt` says otherwise. */
    rootSizeBytes: rootSize,
    /** Bytes that the event log may take; the oldest events are dropped beyond. */
    eventsMaxBytes,
    /** An existing btrfs directory to use instead of a loop file. */
    cowfsDirectory: optional(env['DOLLY_COWFS']),
    /** Ranges of user and group ids for containers: the first id, and how many ranges. */
    idPool: idPoolOf(env['DOLLY_ID_POOL'] || defaultIdPool),
    subnet: optional(env['DOLLY_SUBNET']) ?? joined?.subnet,
    /** What this host was told when it joined a bus elsewhere. */
    joined,
    /** Whether containers on the bridge reach each other (Docker's `--icc`). */
    icc: env['DOLLY_ICC'] !== 'off',
    logLevel: env['DOLLY_LOG_LEVEL'] || 'info',
    /** Labels and capacity of this host for placement, and how often it is looked at. */
    host: nodeSettings(env),
    natsUrl: optional(env['DOLLY_NATS_URL']) ?? joined?.url,
    /** The address at which the stack's own server listens; loopback unless other hosts are to reach it. */
    natsListen: optional(env['DOLLY_NATS_LISTEN']),
    natsUser: optional(env['DOLLY_NATS_USER']),
    natsPassword: optional(env['DOLLY_NATS_PASSWORD']),
    /** A file like `<root>/nats/access.json` to use instead, as one that holds a single user. */
    natsAccess: optional(env['DOLLY_NATS_ACCESS']),
    /** A file whose time of change is renewed while a service runs and has its bus. */
    healthFile: optional(env['DOLLY_HEALTH_FILE']),
    natsTls: tlsOf(env, joined?.ca),
    /** Containers that are made at a time on one node. */
    maxLaunches: launchesOf(env['DOLLY_MAX_LAUNCHES'] || String(usualLaunches)),
    /** Whether a limit of a container counts as its reservation when it has none. */
    countLimits: env['DOLLY_COUNT_LIMITS'] === 'on',
    /** Whether `privileged: true` is carried out here. */
    allowPrivileged: env['DOLLY_ALLOW_PRIVILEGED'] === 'on',
    /** Directories of the host that containers may have as volumes. */
    bindAllow: bindAllowOf(env['DOLLY_BIND_ALLOW'] || ''),
    /** Whether `trace.inject` may fail launches and end services on purpose. */
    faultInjection: env['DOLLY_FAULT_INJECTION'] === 'on',
    /** Milliseconds between two comparisons of the host with the log. */
    reconcileMs: Number(env['DOLLY_RECONCILE_MS'] || 60_000),
    /** How long an unacknowledged command stays with an orchestrator that died, in milliseconds. */
    ackWaitMs: Number(env['DOLLY_ACK_WAIT_MS'] || 10_000),
  }
}

export type Config = ReturnType<typeof loadConfig>

/** Where the bus is and who `role` is on it: the environment first, then the root's own file. Throws `Failure` (`unavailable`). */
export const busAccess = (
  config: Config,
  role: string,
): { url: string; user?: string; password?: string; seed?: string } => {
  const access = readAccess(config.natsAccess ?? join(config.root, 'nats/access.json'))
  const url = config.natsUrl ?? access?.url
  if (!url) {
    throw new Failure(
      'unavailable',
      `cannot find the bus of ${config.root}: no nats/access.json there and no DOLLY_NATS_URL; start the stack with "dolly up"`,
    )
  }
  if (config.natsUser)
    return { url, user: config.natsUser, ...(config.natsPassword ? { password: config.natsPassword } : {}) }
  return { url, ...access?.users[role] }
}

import { type Config, busAccess } from '../config.ts'
import { Failure } from '../failure.ts'
import type { Log } from '../log.ts'
import { subjects } from '../subjects.ts'
import { failureOf } from './failure-of.ts'
import { loseReplies } from './lost-replies.ts'
import { Events, type NatsConnection, type TlsOptions, connect, nkeyAuthenticator } from './nats.ts'
import { patienceMs } from '../patience.ts'

/** A server that misses a certificate of ours says nothing at all. */
const connectWithinMs = 10_000
const minimumServer = [2, 12] as const

const isTooOld = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < minimumServer[0] || (major === minimumServer[0] && minor < minimumServer[1])
}

/** Logs when the server goes away and comes back, and tells those who asked that it is back; answers whether it is away. */
export const watchStatus = (
  connection: NatsConnection,
  log: Log,
  onReconnect: ReadonlySet<() => void>,
): (() => boolean) => {
  let away = false
  const watch = async (): Promise<void> => {
    for await (const { type, data } of connection.status()) {
      if (type !== Events.Disconnect && type !== Events.Reconnect) continue
      away = type === Events.Disconnect
      log.warn({ server: data }, `bus ${type}ed`)
      if (away) continue
      loseReplies(connection)
      for (const tell of onReconnect) tell()
    }
  }
  void watch()
  return () => away
}

/** Asked at every reconnection: passwords are rotated under connections that stay. */
const credentialsOf = (config: Config, role: string) => {
  let last = busAccess(config, role)
  return () => {
    try {
      last = busAccess(config, role)
    } catch (error) {
      if (!(error instanceof Failure)) throw error // the file is gone or being replaced: what was right may still be
    }
    return { user: last.user ?? '', pass: last.password ?? '' }
  }
}

/** A key is the host's own for ever; its user joins anew for another. */
const authenticatorOf = (config: Config, role: string) => {
  const { seed } = busAccess(config, role)
  return seed ? nkeyAuthenticator(new TextEncoder().encode(seed)) : credentialsOf(config, role)
}

/** The client names only hosts that have a name to Node, which would hold a certificate for an address against "localhost". */
const tlsOf = ({ natsTls: { ca, cert, key } }: Config, url: string): { tls?: TlsOptions } => {
  if (!ca) return {}
  const own = { ...(cert ? { certFile: cert } : {}), ...(key ? { keyFile: key } : {}) }
  return { tls: { caFile: ca, ...own, host: new URL(url).hostname } as TlsOptions }
}

/** An open connection as `role`. Throws `Failure` (`unavailable`, `not_permitted`, `host_unfit`). */
export const openConnection = async (
  config: Config,
  role: string,
  { patient, withinMs = connectWithinMs }: { patient: boolean; withinMs?: number | undefined },
): Promise<NatsConnection> => {
  const { url, user } = busAccess(config, role)
  const connection = await connect({
    servers: url,
    ...(user ? { authenticator: authenticatorOf(config, role), inboxPrefix: subjects.inbox(user) } : {}),
    ...tlsOf(config, url),
    name: `${role}@${config.node}`,
    maxReconnectAttempts: -1,
    timeout: patienceMs(withinMs),
    // A stack trace taken with every request, for the case that it fails, costs as much as the request.
    noAsyncTraces: true,
    reconnectTimeWait: 200,
    waitOnFirstConnect: patient,
    ignoreClusterUpdates: true,
    // While our server is down another may take its port and refuse us: ours will be back.
    ignoreAuthErrorAbort: true,
  }).catch((error: unknown) => {
    throw failureOf(error, `cannot reach the bus at ${url}`)
  })
  const version = connection.info?.version ?? '0'
  if (!isTooOld(version)) return connection
  await connection.close()
  throw new Failure(
    'host_unfit',
    `the NATS server at ${url} is ${version}; Dolly needs ${minimumServer.join('.')} or newer`,
  )
}

import { type Config, busAccess } from '../config.ts'
import { Failure } from '../failure.ts'
import type { Log } from '../log.ts'
import { subjects } from '../subjects.ts'
import { failureOf } from './failure-of.ts'
import { loseReplies } from './lost-replies.ts'
import { Events, type NatsConnection, connect } from './nats.ts'

const minimumServer = [2, 12] as const

const isTooOld = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < minimumServer[0] || (major === minimumServer[0] && minor < minimumServer[1])
}

/** Logs when the server goes away and comes back, and tells those who asked that it is back. */
export const watchStatus = async (
  connection: NatsConnection,
  log: Log,
  onReconnect: ReadonlySet<() => void>,
): Promise<void> => {
  for await (const { type, data } of connection.status()) {
    if (type === Events.Disconnect || type === Events.Reconnect) log.warn({ server: data }, `bus ${type}ed`)
    if (type !== Events.Reconnect) continue
    loseReplies(connection)
    for (const tell of onReconnect) tell()
  }
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

const tlsOf = ({ natsTls: { ca, cert, key } }: Config) =>
  ca ? { tls: { caFile: ca, ...(cert ? { certFile: cert } : {}), ...(key ? { keyFile: key } : {}) } } : {}

/** An open connection as `role`. Throws `Failure` (`unavailable`, `not_permitted`, `host_unfit`). */
export const openConnection = async (
  config: Config,
  role: string,
  patient: boolean,
): Promise<NatsConnection> => {
  const { url, user } = busAccess(config, role)
  const connection = await connect({
    servers: url,
    ...(user ? { authenticator: credentialsOf(config, role), inboxPrefix: subjects.inbox(user) } : {}),
    ...tlsOf(config),
    name: `${role}@${config.node}`,
    maxReconnectAttempts: -1,
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

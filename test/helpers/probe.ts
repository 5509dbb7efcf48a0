import { setImmediate as turn } from 'node:timers/promises'
import { Events, type NatsConnection, connect, headers, nkeyAuthenticator } from '../../shared/bus/nats.ts'
import { type Config, busAccess } from '../../shared/config.ts'
import { subjects } from '../../shared/subjects.ts'

/** A plain connection with a role's credentials, that tells what the server refuses. */
export const probe = async (config: Config, role: string) => {
  const { url, user = '', password } = busAccess(config, role)
  return probing(user, { servers: url, user, pass: password })
}

/** The same with the key of a user that a token or a node has. */
export const probeWithKey = (url: string, { user, seed }: { user: string; seed: string }) =>
  probing(user, {
    servers: url,
    authenticator: nkeyAuthenticator(new TextEncoder().encode(seed)),
    reconnect: false,
  })

const probing = async (user: string, options: Parameters<typeof connect>[0]) => {
  const connection: NatsConnection = await connect({ ...options, inboxPrefix: subjects.inbox(user) })
  const refused = new Set<string>()
  void (async () => {
    for await (const { type, permissionContext } of connection.status())
      if (type === Events.Error && permissionContext) refused.add(permissionContext.subject)
  })()

  /** The refusal comes before the answer to the flush. */
  const isRefused = async (subject: string): Promise<boolean> => {
    await connection.flush()
    await turn()
    return refused.delete(subject)
  }

  return {
    connection,
    user,
    mayPublish: async (subject: string, reply?: string): Promise<boolean> => {
      connection.publish(subject, '{}', { headers: headers(), ...(reply ? { reply } : {}) })
      return !(await isRefused(subject))
    },
    maySubscribe: async (subject: string): Promise<boolean> => {
      const subscription = connection.subscribe(subject, { callback: () => {} })
      const allowed = !(await isRefused(subject))
      subscription.unsubscribe()
      return allowed
    },
    [Symbol.asyncDispose]: () => connection.close(),
  }
}

export type Probe = Awaited<ReturnType<typeof probe>>

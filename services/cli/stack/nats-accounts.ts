import type { BusAccess } from '../../../shared/config.ts'
import { type BusRole, busRoles, permissionsOf } from './nats-permissions.ts'

/** Where the services and everything JetStream keeps are. */
export const serviceAccount = 'DOLLY'
const userAccount = 'USERS'
/** The longest that an answer may take. */
const answerWithin = '24h'

const isPerson = (role: BusRole): boolean => role === 'client' || role === 'operator'

/**
 * Two accounts, joined by exactly what people may ask and read. Within one account whoever asks names the
 * subject of the answer, and permissions do not bind the answerer: an acknowledgement to `append.…` would be
 * stored as an event. Between accounts an answer can only go to a subject of the asker's own account, where
 * nothing of Dolly's listens.
 */
export const accountsOf = ({ users }: BusAccess, node: string): object => {
  const usersOf = (roles: BusRole[]) =>
    roles.map((role) => ({ ...users[role], permissions: permissionsOf(role, node) }))
  const people = busRoles.filter(isPerson)
  const all = people.map((role) => permissionsOf(role, node))
  const asks = [...new Set(all.flatMap(({ publish }) => publish))]
  const hears = [...new Set(all.flatMap(({ subscribe }) => subscribe))].filter(
    (subject) => !subject.startsWith('_INBOX'),
  )
  const isManifold = (subject: string) => subject.startsWith('$')
  return {
    [serviceAccount]: {
      jetstream: 'enabled',
      users: usersOf(busRoles.filter((role) => !isPerson(role))),
      exports: [
        ...asks.map((service) => ({
          service,
          response_type: isManifold(service) ? 'stream' : 'singleton',
          response_threshold: answerWithin,
        })),
        ...hears.map((stream) => ({ stream })),
      ],
    },
    [userAccount]: {
      users: usersOf(people),
      imports: [
        ...asks.map((subject) => ({ service: { account: serviceAccount, subject } })),
        ...hears.map((subject) => ({ stream: { account: serviceAccount, subject } })),
      ],
    },
  }
}

import type { BusAccess } from '../../../shared/config.ts'
import { nodeRoles } from '../../../shared/contracts/join.ts'
import { subjects } from '../../../shared/subjects.ts'
import type { Fleet } from '../join/fleet.ts'
import {
  type BusRole,
  busRoles,
  nodePermissionsOf,
  permissionsOf,
  tokenPermissions,
} from './nats-permissions.ts'

/** Where the services and everything JetStream keeps are. */
export const serviceAccount = 'DOLLY'
const userAccount = 'USERS'
/** The longest that an answer may take. */
const answerWithin = '24h'

const isPerson = (role: BusRole): boolean => role === 'client' || role === 'operator'

/** Services of the nodes that have joined. */
const servicesOf = ({ nodes }: Fleet): object[] =>
  Object.entries(nodes).flatMap(([node, keys]) =>
    nodeRoles
      .filter((role) => role !== 'operator')
      .map((role) => ({ nkey: keys[role], permissions: nodePermissionsOf(role, node) })),
  )

/** Whoever is root of a node that has joined, and whoever wants to join. */
const strangersOf = ({ nodes, tokens, operators }: Fleet): object[] => [
  ...Object.entries(nodes).map(([node, { operator }]) => ({
    nkey: operator,
    permissions: nodePermissionsOf('operator', node, operators.includes(node)),
  })),
  ...tokens.map(({ id, publicKey }) => ({ nkey: publicKey, permissions: tokenPermissions(id) })),
]

/**
 * Two accounts, joined by exactly what people may ask and read. Within one account whoever asks names the
 * subject of the answer, and permissions do not bind the answerer: an acknowledgement to `append.…` would be
 * stored as an event. Between accounts an answer can only go to a subject of the asker's own account, where
 * nothing of Dolly's listens.
 */
export const accountsOf = ({ users }: BusAccess, node: string, fleet: Fleet): object => {
  const usersOf = (roles: BusRole[]) =>
    roles.map((role) => ({ ...users[role], permissions: permissionsOf(role, node) }))
  const people = busRoles.filter(isPerson)
  const all = people.map((role) => permissionsOf(role, node))
  const asks = [...new Set([...all.flatMap(({ publish }) => publish), subjects.join('*')])]
  const hears = [...new Set(all.flatMap(({ subscribe }) => subscribe))].filter(
    (subject) => !subject.startsWith('_INBOX'),
  )
  const isManifold = (subject: string) => subject.startsWith('$')
  return {
    [serviceAccount]: {
      jetstream: 'enabled',
      users: [...usersOf(busRoles.filter((role) => !isPerson(role))), ...servicesOf(fleet)],
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
      users: [...usersOf(people), ...strangersOf(fleet)],
      imports: [
        ...asks.map((subject) => ({ service: { account: serviceAccount, subject } })),
        ...hears.map((subject) => ({ stream: { account: serviceAccount, subject } })),
      ],
    },
  }
}

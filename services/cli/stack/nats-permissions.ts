import type { HostService, Operation } from '../../../shared/contracts/contract.ts'
import type { NodeRole } from '../../../shared/contracts/join.ts'
import {
  imageImport,
  imageRemove,
  networkInfo,
  objects,
  release,
} from '../../../shared/contracts/operations.ts'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { durableCommands, subjects } from '../../../shared/subjects.ts'
import { streams } from '../../../shared/streams.ts'

/** Who is on the bus; `busAccess(config, role)` finds the credentials by these names. */
export const busRoles = [
  'storage',
  'cgroup',
  'network',
  'namespace',
  'orchestrator',
  /** Lets hosts join, where the server is. */
  'registrar',
  /** Makes the streams, consumers and buckets at start, and does nothing else. */
  'bootstrap',
  'client',
  'operator',
] as const
export type BusRole = (typeof busRoles)[number]

/** What a NATS user may do, as the server's configuration takes it. */
export interface Permissions {
  publish: string[]
  subscribe: string[]
  /** Answers go to the inbox of whoever asked, which cannot be listed. */
  allow_responses?: { max: number; expires: string }
}

const hostServices = ['storage', 'cgroup', 'network', 'namespace'] as const satisfies HostService[]
/** Kinds of events that say what happened to containers and nodes; `service` is each service's own. */
const kinds = ['container', 'node'] as const
const asked = { allow_responses: { max: 1, expires: '24h' } } as const
const api = '$JS.API'
/** The one way to read events: by sequence and subject, answered to the reader alone. */
const readEvents = `${api}.DIRECT.GET.EVENTS`

const { commands, events, consumers, projector, restarts, buckets } = streams({
  ackWaitMs: 0,
  eventsMaxBytes: 0,
})
const bucketStreams = buckets.map((bucket) => `KV_${bucket}`)

/** Discovery and health by the services convention, of this name only. */
const discovery = (name: string): string[] => [
  '$SRV.PING',
  '$SRV.INFO',
  '$SRV.STATS',
  `$SRV.*.${name}`,
  `$SRV.*.${name}.*`,
]

/** A service hears requests to itself on its own node, answers them, and tells its own facts. */
const hostService = (node: string, name: HostService): Permissions => ({
  publish: [
    subjects.append('service', `${node}-${name}`),
    // It alone sees processes end.
    ...(name === 'namespace' ? [subjects.append('container', '*')] : []),
  ],
  subscribe: [subjects.host(node, name, '*'), ...discovery(name)],
  ...asked,
})

/** Taking and acknowledging the messages of one durable consumer. */
const consuming = (stream: string, durable: string): string[] => [
  `${api}.CONSUMER.INFO.${stream}.${durable}`,
  `${api}.CONSUMER.MSG.NEXT.${stream}.${durable}`,
  `$JS.ACK.${stream}.${durable}.>`,
]

/** Reading, writing and watching the keys of one bucket. */
const keeping = (bucket: string): string[] => [
  subjects.key(bucket, '*'),
  `${api}.STREAM.INFO.KV_${bucket}`,
  `${api}.DIRECT.GET.KV_${bucket}.>`,
  `${api}.CONSUMER.CREATE.KV_${bucket}.*.${subjects.key(bucket, '>')}`,
  `${api}.CONSUMER.INFO.KV_${bucket}.*`,
  `${api}.CONSUMER.DELETE.KV_${bucket}.*`,
  `$JS.FC.KV_${bucket}.>`,
]

const orchestrator = (node: string): Permissions => ({
  publish: [
    ...hostServices.map((name) => subjects.host('*', name, '*')),
    ...kinds.map((kind) => subjects.append(kind, '*')),
    subjects.append('service', `${node}-orchestrator`),
    subjects.lookAt('*'),
    // Of a container that is to go once it has ended.
    subjects.delete,
    subjects.forget,
    subjects.nodeRole,
    `${api}.INFO`,
    `${api}.STREAM.INFO.EVENTS`,
    `${api}.DIRECT.GET.COMMANDS`,
    readEvents,
    ...consumers.flatMap(({ durable_name }) => consuming(commands.name, durable_name)),
    ...[projector, restarts].flatMap(({ durable_name }) => consuming(events.name, durable_name)),
    ...buckets.flatMap(keeping),
  ],
  subscribe: [
    ...Object.values(verbs).map(({ subject }) => subject),
    subjects.lookAt('*'),
    subjects.events('service'),
    subjects.events('container'),
    ...discovery('orchestrator'),
  ],
  ...asked,
})

const registrar: Permissions = {
  publish: [subjects.append('node', '*'), `${api}.INFO`, ...keeping('nodes')],
  subscribe: [subjects.join('*'), subjects.forget, subjects.nodeRole, ...discovery('registrar')],
  ...asked,
}

/** Makes and updates what JetStream keeps, and cannot remove any of it. */
const bootstrap: Permissions = {
  publish: [
    `${api}.INFO`,
    ...[commands.name, events.name, ...bucketStreams].flatMap((stream) =>
      ['INFO', 'CREATE', 'UPDATE'].map((verb) => `${api}.STREAM.${verb}.${stream}`),
    ),
    ...[commands.name, events.name].flatMap((stream) =>
      ['INFO', 'CREATE', 'DURABLE.CREATE'].map((verb) => `${api}.CONSUMER.${verb}.${stream}.>`),
    ),
  ],
  subscribe: [],
}

const verbsOf = (role: 'client' | 'operator'): string[] =>
  Object.values(verbs)
    .filter((verb) => verb.role === role)
    .map(({ subject }) => subject)

/**
 * A user commands and reads: never `host.>`, which acts on a host, nor `append.>`, which would forge facts,
 * nor what gives up sagas or reads files of a host, which is an operator's word.
 */
const client: Permissions = {
  publish: [...durableCommands, ...verbsOf('client'), readEvents],
  subscribe: [subjects.everyEvent],
}

const discover = ['PING', 'INFO', 'STATS'].flatMap((verb) => [`$SRV.${verb}`, `$SRV.${verb}.>`])
const hostOperations: Operation[] = [
  ...Object.values(objects),
  ...Object.values(release),
  networkInfo,
  imageImport,
  imageRemove,
]

/** What whoever is root of a host asks of its own services. */
const ownHost = (node: string): string[] => [
  ...hostOperations.map(({ service, verb }) => subjects.host(node, service, verb)),
  ...discover,
]

const operator: Permissions = {
  publish: [
    ...client.publish,
    ...verbsOf('operator'),
    // What `dolly down` and `dolly info` ask of hosts themselves.
    ...ownHost('*'),
  ],
  subscribe: [subjects.everyEvent],
}

/** The name of a role's user: a service has one on each node. */
export const userOf = (role: BusRole, node: string): string =>
  role === 'client' || role === 'operator' || role === 'bootstrap' ? role : `${role}@${node}`

const partOf = (role: BusRole, node: string): Permissions => {
  if (role === 'client') return client
  if (role === 'operator') return operator
  if (role === 'bootstrap') return bootstrap
  if (role === 'registrar') return registrar
  return role === 'orchestrator' ? orchestrator(node) : hostService(node, role)
}

/** What each role may publish and subscribe to on a node's bus, beside its own inboxes. */
export const permissionsOf = (role: BusRole, node: string): Permissions => {
  const { subscribe, ...rest } = partOf(role, node)
  return { ...rest, subscribe: [...subscribe, `${subjects.inbox(userOf(role, node))}.>`] }
}

/** The name of a user of a node that has joined: its operator is nobody elsewhere. */
export const nodeUserOf = (role: NodeRole, node: string): string =>
  role === 'operator' ? `resident@${node}` : userOf(role, node)

/**
 * What a user of a node that has joined may do: its services as anywhere; whoever is root there a client's and its own
 * host's, or all that an operator may once it is promoted.
 */
export const nodePermissionsOf = (role: NodeRole, node: string, promoted = false): Permissions => {
  if (role !== 'operator') return permissionsOf(role, node)
  const inbox = `${subjects.inbox(nodeUserOf(role, node))}.>`
  const publish = promoted ? operator.publish : [...client.publish, ...ownHost(node)]
  return { publish, subscribe: [...client.subscribe, inbox] }
}

/** A token's user asks to join, by its own name, and hears the answer. */
export const tokenPermissions = (id: string): Permissions => ({
  publish: [subjects.join(id)],
  subscribe: [`${subjects.inbox(tokenUserOf(id))}.>`],
})

/** The name of a token's user, of which its inbox is made. */
export const tokenUserOf = (id: string): string => `join-${id}`

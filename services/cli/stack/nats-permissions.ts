/** Who is on the bus; `busAccess(config, role)` finds the credentials by these names. */
export const busRoles = [
  'storage',
  'cgroup',
  'network',
  'namespace',
  'orchestrator',
  'client',
  'operator',
] as const
export type BusRole = (typeof busRoles)[number]

interface Permissions {
  publish: string[]
  subscribe: string[]
  /** Answers go to the inbox of whoever asked, which cannot be listed. */
  allow_responses?: { max: number; expires: string }
}

const everything: Permissions = { publish: ['>'], subscribe: ['>'] }

/** A service hears requests to itself on its own node, answers them, and appends facts. */
const hostService = (node: string, name: string): Permissions => ({
  publish: ['append.>'],
  subscribe: [`host.${node}.${name}.>`, '$SRV.>', '_INBOX.>'],
  allow_responses: { max: 1, expires: '1h' },
})

/** Reading the EVENTS stream by ordered, pull or direct reads; nothing that changes a stream. */
const readEvents = [
  '$JS.API.INFO',
  '$JS.API.STREAM.NAMES',
  '$JS.API.STREAM.LIST',
  '$JS.API.STREAM.INFO.EVENTS',
  '$JS.API.STREAM.MSG.GET.EVENTS',
  '$JS.API.DIRECT.GET.EVENTS',
  '$JS.API.DIRECT.GET.EVENTS.>',
  '$JS.API.CONSUMER.CREATE.EVENTS',
  '$JS.API.CONSUMER.CREATE.EVENTS.>',
  '$JS.API.CONSUMER.INFO.EVENTS.>',
  '$JS.API.CONSUMER.DELETE.EVENTS.>',
  '$JS.API.CONSUMER.MSG.NEXT.EVENTS.>',
  '$JS.ACK.EVENTS.>',
  '$JS.FC.>',
]

/**
 * A user commands and reads: never `host.>`, which acts on a host, nor `append.>`, which would forge facts,
 * nor what gives up sagas or cleans hosts, which is an operator's word.
 */
const client: Permissions = {
  publish: ['container.>', 'image.>', 'node.leaks', 'node.list', 'saga.list', '$SRV.>', ...readEvents],
  subscribe: ['_INBOX.>', 'event.>'],
}

/** What each role may publish and subscribe to on a node's bus. */
export const permissionsOf = (role: BusRole, node: string): Permissions => {
  if (role === 'client') return client
  if (role === 'orchestrator' || role === 'operator') return everything
  return hostService(node, role)
}

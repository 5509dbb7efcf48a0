/** Commands that the COMMANDS work queue keeps until their saga has ended. */
export const durableCommands = ['container.create', 'container.delete'] as const

/** Every subject string of Dolly is built here. */
export const subjects = {
  create: 'container.create',
  delete: 'container.delete',
  /** Quick verbs and queries, answered by request and reply. */
  verb: (kind: string, verb: string) => `${kind}.${verb}`,
  host: (node: string, service: string, verb: string) => `host.${node}.${service}.${verb}`,
  /** Where an event is published: the stream stores it as `event.…`, and republishes it once it is stored. */
  append: (kind: string, id: string) => `append.${kind}.${id}`,
  everyAppend: 'append.>',
  event: (kind: string, id: string) => `event.${kind}.${id}`,
  events: (kind = '*') => `event.${kind}.*`,
  everyEvent: 'event.>',
  /** Asks orchestrators to look at a container's log at once. */
  lookAt: (id: string) => `hint.container.${id}`,
  /** A host that wants to join, by its token's name. */
  join: (token: string) => `node.join.${token}`,
  /** Of an empty node, to whoever keeps the users of the bus. */
  forget: 'node.forget',
  /** What the root of a node that has joined may do on the bus, to the same. */
  nodeRole: 'node.role',
  /** A key of a bucket. */
  key: (bucket: string, key: string) => `$KV.${bucket}.${key}`,
  /** First token of a user's inboxes, which nobody else may read; of a client's what every NATS client takes untold. */
  inbox: (user: string) => (user === 'client' ? '_INBOX' : `_INBOX_${user.replaceAll(/[.*>\s]/g, '-')}`),
} as const

/** The id an event's subject speaks of: its third token. */
export const idOfEvent = (subject: string): string => subject.split('.')[2] ?? ''

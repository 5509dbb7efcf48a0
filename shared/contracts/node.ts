import { z } from 'zod'
import { NodeName } from './identity.ts'
import { PersonRole } from './join.ts'

/** What a host has for containers; memory and disk in bytes. */
const Capacity = z.object({
  cpus: z.number(),
  memory: z.number(),
  disk: z.number(),
  containers: z.number(),
})

/** What of it is taken now, by anyone on the host; in bytes. */
const Use = z.object({ memory: z.number(), disk: z.number() })

const Labels = z.record(z.string(), z.string())
const Features = z.record(z.string(), z.union([z.string(), z.boolean()]))

/** What one service knows of its host; the node's record is what all of them say. */
export const NodeFacts = z.object({
  subnet: z.string().optional(),
  labels: Labels.optional(),
  capacity: Capacity.partial().optional(),
  use: Use.partial().optional(),
  features: Features.optional(),
  images: z.array(z.string()).optional(),
})
export type NodeFacts = z.infer<typeof NodeFacts>

const RunningService = z.object({ pid: z.number().int(), startedAt: z.string(), version: z.string() })

/** A service's answer to whoever asks how it does; `now` is its host's clock. */
export const ServiceStatus = RunningService.extend({ now: z.string(), facts: NodeFacts })
export type ServiceStatus = z.infer<typeof ServiceStatus>

/** Data of the event `service.started`. */
export const ServiceStarted = z.object({ node: NodeName, service: z.string() })

/** Value of a node's key in the bucket `nodes`, renewed by orchestrators with each heartbeat. */
export const NodeRecord = z.object({
  name: NodeName,
  joinedAt: z.string(),
  /** What its root may do on the bus. */
  role: PersonRole.default('client'),
  /** Range of its containers' addresses, as `10.64.0.0/20`; empty until its network service has said it. */
  subnet: z.string(),
  version: z.string(),
  labels: Labels,
  capacity: Capacity,
  use: Use,
  /** What its kernel offers, by name. */
  features: Features,
  /** Names with tags, and digests. */
  images: z.array(z.string()),
  /** Services that answered last, by name. */
  services: z.record(z.string(), RunningService),
  /** When one of its services answered last, by the asker's clock. */
  heartbeatAt: z.string(),
})
export type NodeRecord = z.infer<typeof NodeRecord>

/** Services that a host needs for containers. */
export const hostServiceNames = ['storage', 'cgroup', 'network', 'namespace'] as const

/** A node that misses as many heartbeats is down. */
const missedUntilDown = 3

/** Whether the node's services answered lately. */
export const isUp = ({ heartbeatAt }: NodeRecord, heartbeatMs: number, now = Date.now()): boolean =>
  now - Date.parse(heartbeatAt) < missedUntilDown * heartbeatMs

/** Whether every service that a container needs answered lately. */
export const isReady = (record: NodeRecord, heartbeatMs: number, now = Date.now()): boolean =>
  isUp(record, heartbeatMs, now) && hostServiceNames.every((name) => name in record.services)

/** A node as people see it. */
export const Node = NodeRecord.extend({
  status: z.enum(['ready', 'unhealthy', 'down']),
  /** Containers of it that are not gone. */
  containers: z.number().int(),
})
export type Node = z.infer<typeof Node>

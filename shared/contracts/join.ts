import { z } from 'zod'
import { NodeName } from './identity.ts'

/** Users of the bus that a node has: its services', and one for whoever is root there. */
export const nodeRoles = ['storage', 'cgroup', 'network', 'namespace', 'operator'] as const
export type NodeRole = (typeof nodeRoles)[number]

/** The public half of a user's key, as the server takes it (nkeys). */
const PublicKey = z.string().regex(/^U[A-Z2-7]{55}$/, 'is the public key of a user')
export const NodeKeys = z.strictObject({
  storage: PublicKey,
  cgroup: PublicKey,
  network: PublicKey,
  namespace: PublicKey,
  operator: PublicKey,
})
export type NodeKeys = z.infer<typeof NodeKeys>

/** What a host that wants to join says of itself, on `node.join.<token>`. */
export const JoinRequest = z.strictObject({
  node: NodeName,
  keys: NodeKeys,
  /** IPv4 ranges that the host uses for something else. */
  ranges: z.array(z.string()).max(10_000),
  /** The range it wants for its containers, if not any. */
  subnet: z.string().optional(),
  /** Its clock. */
  now: z.iso.datetime(),
})
export type JoinRequest = z.infer<typeof JoinRequest>

export const JoinAnswer = z.object({ node: NodeName, subnet: z.string() })

/** An orchestrator's word that a node is empty and to be forgotten, on `node.forget`. */
export const ForgetRequest = z.strictObject({ node: NodeName })

/** What whoever is root of a host may do on the bus: a client's commands and queries, or an operator's too. */
export const PersonRole = z.enum(['client', 'operator'])

/** An orchestrator's word that the root of a node has a role from now on, on `node.role`. */
export const RoleRequest = z.strictObject({ node: NodeName, role: PersonRole })

import { defaultCapabilities, ociCapabilities } from './capabilities.ts'
import { Failure } from './failure.ts'

/** What root of the host's user namespace may have in a container without being root of the host: Docker's fourteen. */
export const harmlessCapabilities = [...defaultCapabilities, 'NET_RAW', 'MKNOD', 'AUDIT_WRITE']
const harmless = ociCapabilities(harmlessCapabilities)

/**
 * Throws `Failure` (`not_permitted`) for a container that would be root of the host where nobody has allowed it: a
 * privileged one, or one with a capability like SYS_MODULE that counts in the host's user namespace.
 */
export const requireNoHostRoot = (
  { id, privileged, capabilities }: { id: string; privileged: boolean; capabilities: readonly string[] },
  { ownIds, allowed }: { ownIds: boolean; allowed: boolean },
): void => {
  if (allowed) return
  const reason = 'it would be root of the host; DOLLY_ALLOW_PRIVILEGED=on allows it'
  if (privileged) throw new Failure('not_permitted', `cannot create privileged container ${id}: ${reason}`)
  const [harmful] = ownIds ? [] : capabilities.filter((capability) => !harmless.includes(capability))
  if (harmful === undefined) return
  throw new Failure(
    'not_permitted',
    `cannot give ${harmful} to container ${id} in the host's user namespace: ${reason}`,
  )
}

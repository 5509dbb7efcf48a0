import type { Config } from '../../../shared/config.ts'
import { NodeName } from '../../../shared/contracts/identity.ts'
import { Failure } from '../../../shared/failure.ts'
import { changeFleet } from './change-fleet.ts'
import type { Token } from './fleet.ts'
import { letsJoin } from './lets-join.ts'
import { makeToken } from './token.ts'

/** Makes a token with which one host may join this host's bus, once, within the time. Throws `Failure`. */
export const giveToken = async (
  config: Config,
  { node, ttlMs }: { node: string | null; ttlMs: number },
): Promise<{ text: string; token: Token }> => {
  if (config.joined)
    throw new Failure(
      'conflict',
      `cannot make a token: this host has joined ${config.joined.url}; ask for one there`,
    )
  if (!(await letsJoin(config)))
    throw new Failure(
      'conflict',
      'cannot make a token: the bus listens where only this host reaches it; DOLLY_NATS_LISTEN takes an address that others reach',
    )
  if (node !== null && !NodeName.safeParse(node).success)
    throw new Failure('invalid_message', `cannot make a token for "${node}": it is no node name`)
  const made = await makeToken(config, node, ttlMs)
  const { reload } = await changeFleet(config, (fleet) => {
    if (node !== null && (fleet.nodes[node] || node === config.node))
      throw new Failure('conflict', `there is a node ${node} already; "dolly node rm" takes it out`)
    return { ...fleet, tokens: [...fleet.tokens, made.token] }
  })
  await reload()
  return made
}

import { z } from 'zod'
import { nkeys } from '../../../shared/bus/nats.ts'
import type { Config } from '../../../shared/config.ts'
import { NodeName } from '../../../shared/contracts/identity.ts'
import { Failure } from '../../../shared/failure.ts'
import { readFile } from 'node:fs/promises'
import type { Token } from './fleet.ts'

/** What a token tells the host that joins: the secret half of its key, and who signs for the bus. */
const Told = z.object({ seed: z.string(), node: NodeName.nullable(), ca: z.string().optional() })
export type Told = z.infer<typeof Told>

const prefix = 'dolly-join-'

/** A new pair of keys of a user of the bus. */
export const newKey = (): { publicKey: string; seed: string } => {
  const pair = nkeys.createUser()
  return { publicKey: pair.getPublicKey(), seed: new TextDecoder().decode(pair.getSeed()) }
}

/** The name that a token's user has on the bus, without its secret. */
export const tokenId = (publicKey: string): string => publicKey.slice(-16).toLowerCase()

const idOf = (seed: string): string => tokenId(nkeys.fromSeed(new TextEncoder().encode(seed)).getPublicKey())

/** A token for a node, or for any; the text is its only copy. */
export const makeToken = async (
  { natsTls: { ca } }: Config,
  node: string | null,
  ttlMs: number,
): Promise<{ text: string; token: Token }> => {
  const { publicKey, seed } = newKey()
  const told: Told = { seed, node, ...(ca ? { ca: await readFile(ca, 'utf8') } : {}) }
  const expiresAt = new Date(Date.now() + ttlMs).toISOString()
  return {
    text: `${prefix}${Buffer.from(JSON.stringify(told)).toString('base64url')}`,
    token: { id: tokenId(publicKey), publicKey, node, expiresAt, usedBy: null },
  }
}

/** What the text of a token says. Throws `Failure` (`invalid_message`). */
export const readToken = (text: string): Told & { id: string } => {
  try {
    if (!text.startsWith(prefix)) throw new Error('no prefix')
    const told = Told.parse(JSON.parse(Buffer.from(text.slice(prefix.length), 'base64url').toString()))
    return { ...told, id: idOf(told.seed) }
  } catch (error) {
    throw new Failure(
      'invalid_message',
      'the token is none that "dolly node token" has printed, or not all of it',
      {
        cause: error,
      },
    )
  }
}

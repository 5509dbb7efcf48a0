import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Config } from '../../../shared/config.ts'
import { NodeName } from '../../../shared/contracts/identity.ts'
import { NodeKeys } from '../../../shared/contracts/join.ts'
import { writeDurably } from '../../../shared/durable-file.ts'
import { Failure, errnoOf, reasonOf } from '../../../shared/failure.ts'

/** Only the public half of a token is kept: who reads this file cannot join with it. */
const Token = z.object({
  id: z.string(),
  publicKey: z.string(),
  /** The node it is for; null for any. */
  node: NodeName.nullable(),
  expiresAt: z.string(),
  usedBy: NodeName.nullable(),
})
export type Token = z.infer<typeof Token>

/** What `<root>/nats/fleet.json` on the bus's host holds: who has joined, and who may. */
export const Fleet = z.object({
  nodes: z.record(NodeName, NodeKeys),
  tokens: z.array(Token),
  /** Nodes whose root has an operator's rights. */
  operators: z.array(NodeName).default([]),
})
export type Fleet = z.infer<typeof Fleet>

/** A token that can no more be used is kept as long, so that whoever tries it is told why. */
const toldWhyMs = 86_400_000

const fileOf = ({ names }: Pick<Config, 'names'>): string => join(names.nats, 'fleet.json')

/** Who has joined this host's bus; nobody when there is no file. Throws `Failure` (`host_unfit`). */
export const readFleet = async (config: Pick<Config, 'names'>): Promise<Fleet> => {
  const file = fileOf(config)
  try {
    return Fleet.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return { nodes: {}, tokens: [], operators: [] }
    throw new Failure('host_unfit', `cannot read ${file}: ${reasonOf(error)}`, { cause: error })
  }
}

/** Writes it, without tokens that are long past. */
export const writeFleet = (config: Config, fleet: Fleet): Promise<void> => {
  const tokens = fleet.tokens.filter(({ expiresAt }) => Date.parse(expiresAt) > Date.now() - toldWhyMs)
  return writeDurably(fileOf(config), JSON.stringify({ ...fleet, tokens }, null, 2))
}

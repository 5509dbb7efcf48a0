import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { NodeName } from './contracts/identity.ts'
import { Failure, errnoOf, reasonOf } from './failure.ts'

/** What `<root>/joined.json` holds on a host that has joined a bus elsewhere. */
const Joined = z.object({
  node: NodeName,
  url: z.string(),
  /** Leased to this node alone. */
  subnet: z.string(),
})
export type Joined = z.infer<typeof Joined>

export const joinedFile = (root: string): string => join(root, 'joined.json')
/** Who signed the certificate of the bus that was joined, if it uses TLS. */
export const joinedCaFile = (root: string): string => join(root, 'nats/ca.pem')

/** What the host was told when it joined; undefined when it has not. Throws `Failure` (`host_unfit`). */
export const readJoined = (root: string): (Joined & { ca: string | undefined }) | undefined => {
  const [file, ca] = [joinedFile(root), joinedCaFile(root)]
  try {
    const joined = Joined.parse(JSON.parse(readFileSync(file, 'utf8')))
    return { ...joined, ca: existsSync(ca) ? ca : undefined }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw new Failure('host_unfit', `cannot read ${file}: ${reasonOf(error)}`, { cause: error })
  }
}

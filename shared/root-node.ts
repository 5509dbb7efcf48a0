import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { NodeName } from './contracts/identity.ts'
import { writeDurably } from './durable-file.ts'
import { Failure, errnoOf } from './failure.ts'

const fileOf = (root: string): string => join(root, 'node')
/** Who may not read a root runs no stack in it. */
const none = ['ENOENT', 'ENOTDIR', 'EACCES']

/** The node that a root's stack was brought up as; undefined when nothing of it is left on the host. */
export const rememberedNode = (root: string): string | undefined => {
  try {
    return NodeName.safeParse(readFileSync(fileOf(root), 'utf8').trim()).data
  } catch (error) {
    if (none.includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
}

/** Throws `Failure` (`conflict`): names of kernel objects derive from the node, so another one would not find them. */
export const requireSameNode = (root: string, node: string): void => {
  const before = rememberedNode(root)
  if (before === undefined || before === node) return
  throw new Failure(
    'conflict',
    `cannot use DOLLY_NODE "${node}": the stack of ${root} is node "${before}" until it is down and nothing of it is left`,
  )
}

/** From now on the root's stack is this node, also without `DOLLY_NODE` and under another host name. */
export const rememberNode = ({ root, node }: { root: string; node: string }): Promise<void> =>
  writeDurably(fileOf(root), `${node}\n`)

export const forgetNode = ({ root }: { root: string }): Promise<void> => rm(fileOf(root), { force: true })

import { verbs } from '../../../../shared/contracts/verbs.ts'
import { Failure } from '../../../../shared/failure.ts'
import { reportFailure } from '../../output/failure.ts'
import { ask } from './ask.ts'
import type { Session } from './session.ts'

const listed = async ({ bus }: Session, wish?: string) => {
  const { nodes } = await ask(bus, verbs.nodeList, {})
  const names = nodes.map(({ name }) => name).join(', ')
  if (wish !== undefined && nodes.length > 0 && !nodes.some(({ name }) => name === wish))
    throw new Failure('not_found', `no such node: ${wish}; there is ${names}`)
  return { nodes, names }
}

/**
 * The node whose things a command means: the one that was named, or its own host's. Undefined leaves it to the only
 * one there is. Throws `Failure` when there is no such node, or this host is none of several.
 */
export const nodeMeant = async (session: Session, wish?: string): Promise<string | undefined> => {
  const { nodes, names } = await listed(session, wish)
  if (wish !== undefined) return wish
  if (nodes.some(({ name }) => name === session.config.node)) return session.config.node
  if (nodes.length < 2) return undefined
  throw new Failure('invalid_message', `this host is no node: name one by --node (${names})`)
}

/** What the nodes have, and of which node each is. */
export interface OfNodes<T> {
  /** With only one node nobody needs its name. */
  several: boolean
  found: { node: string; item: T }[]
  /** Some did not answer, which has been said. */
  missing: boolean
}

/** Looks at one node, or at each that there is; whichever does not answer is told of on standard error. */
export const lookAtNodes = async <T>(
  session: Session,
  wish: string | undefined,
  look: (node: string | undefined) => Promise<readonly T[]>,
): Promise<OfNodes<T>> => {
  const { nodes } = await listed(session, wish)
  const several = wish === undefined && nodes.length > 1
  if (!several) {
    const node = wish ?? nodes[0]?.name
    return { several, found: (await look(node)).map((item) => ({ node: node ?? '', item })), missing: false }
  }
  let missing = false
  const onNode = async ({ name: node, status }: (typeof nodes)[number]) => {
    try {
      if (status === 'down') throw new Failure('unavailable', `node ${node} is down`)
      return (await look(node)).map((item) => ({ node, item }))
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      reportFailure(`list what node ${node} has`, error)
      missing = true
      return []
    }
  }
  const found = (await Promise.all(nodes.map(onNode))).flat()
  return { several, found, missing }
}

/** The items for programs: each with its node where there are several. */
export const withNodes = <T extends object>({ several, found }: OfNodes<T>): object[] =>
  found.map(({ node, item }) => (several ? { ...item, node } : item))

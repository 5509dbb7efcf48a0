import type { Bus } from '../../shared/bus.ts'
import type { Config } from '../../shared/config.ts'
import type { Container } from '../../shared/contracts/container.ts'
import { type Node, type NodeRecord, isReady, isUp } from '../../shared/contracts/node.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { Failure } from '../../shared/failure.ts'
import { subjects } from '../../shared/subjects.ts'
import type { Nodes } from './nodes.ts'
import type { Projection } from './projection.ts'
import { type VerbHandler, handler } from './verb-handler.ts'

interface NodeVerbParts {
  bus: Bus
  nodes: Nodes
  projection: Projection
  config: Config
}

/** Waits for the list of containers until a removal is refused. */
const mostWaits = 5

/** Nothing of it is on its host any more. */
const isOver = (status: Container['status']): boolean => status === 'deleted' || status === 'failed'

/** The public requests about nodes. */
export const nodeVerbs = ({ bus, nodes, projection, config }: NodeVerbParts): VerbHandler[] => {
  const { heartbeatMs } = config.host
  const statusOf = (record: NodeRecord): Node['status'] => {
    if (!isUp(record, heartbeatMs)) return 'down'
    return isReady(record, heartbeatMs) ? 'ready' : 'unhealthy'
  }
  const view = (record: NodeRecord): Node => {
    const mine = projection.list().filter(({ node, status }) => node === record.name && !isOver(status))
    // Orchestrators run where the bus is, whose root has all passwords.
    const role = record.name === config.node ? 'operator' : record.role
    return { ...record, role, status: statusOf(record), containers: mine.length }
  }
  const of = (name: string): NodeRecord => {
    const record = nodes.get(name)
    if (!record) throw new Failure('not_found', `no such node: ${name}`)
    return record
  }
  const refuse = (name: string, why: string, details = {}): never => {
    throw new Failure('conflict', `cannot remove node ${name}: ${why}`, { details })
  }
  const requireEmpty = async (name: string): Promise<void> => {
    // A list that is written anew, or a slow host, takes more than one wait.
    let isCurrent = false
    for (let wait = 0; wait < mostWaits && !isCurrent; wait++) isCurrent = await projection.current()
    if (!isCurrent)
      throw new Failure(
        'busy',
        `cannot remove node ${name}: the list of containers is behind the log; try again`,
      )
    const left = projection.list().filter(({ node, status }) => node === name && !isOver(status))
    if (left.length === 0) return
    const shown = left.slice(0, 10).map((container) => `${container.name} (${container.id})`)
    const more = left.length > shown.length ? ', …' : ''
    const ids = left.map(({ id }) => id)
    refuse(name, `it has ${left.length} containers: ${shown.join(', ')}${more}`, { containers: ids })
  }
  return [
    handler(verbs.nodeRemove, async ({ node: name, force }) => {
      // A host that was let in and never started its services has none.
      const record = nodes.get(name)
      if (!force && record && statusOf(record) !== 'down' && Object.keys(record.services).length > 0)
        refuse(name, 'its services answer; "dolly down" on it stops them, --force takes it out all the same')
      await requireEmpty(name)
      await bus.request(subjects.forget, { node: name }).catch((error: unknown) => {
        // Forgotten before, by a removal that did not come to its end.
        if (!record || !(error instanceof Failure) || error.code !== 'not_found') throw error
      })
      await nodes.forget(name)
      return { removed: name }
    }),
    handler(verbs.nodeUpdate, async ({ node: name, role }) => {
      if (of(name).name === config.node && role === 'client')
        throw new Failure('conflict', `cannot demote node ${name}: the bus is its own`)
      if (name === config.node) return { node: name, role }
      await bus.request(subjects.nodeRole, { node: name, role })
      await nodes.setRole(name, role)
      return { node: name, role }
    }),
    handler(verbs.nodeList, async () => ({ nodes: nodes.list().map(view) })),
    handler(verbs.nodeGet, async ({ node }) => {
      return view(of(node))
    }),
  ]
}

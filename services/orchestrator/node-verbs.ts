import type { Config } from '../../shared/config.ts'
import { type Node, type NodeRecord, isReady, isUp } from '../../shared/contracts/node.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { Failure } from '../../shared/failure.ts'
import type { Nodes } from './nodes.ts'
import type { Projection } from './projection.ts'
import { type VerbHandler, handler } from './verb-handler.ts'

interface NodeVerbParts {
  nodes: Nodes
  projection: Projection
  config: Config
}

/** The public requests about nodes. */
export const nodeVerbs = ({ nodes, projection, config }: NodeVerbParts): VerbHandler[] => {
  const { heartbeatMs } = config.host
  const statusOf = (record: NodeRecord): Node['status'] => {
    if (!isUp(record, heartbeatMs)) return 'down'
    return isReady(record, heartbeatMs) ? 'ready' : 'unhealthy'
  }
  const view = (record: NodeRecord): Node => {
    const mine = projection.list().filter(({ node, status }) => node === record.name && status !== 'deleted')
    return { ...record, status: statusOf(record), containers: mine.length }
  }
  return [
    handler(verbs.nodeList, async () => ({ nodes: nodes.list().map(view) })),
    handler(verbs.nodeGet, async ({ node }) => {
      const record = nodes.get(node)
      if (!record) throw new Failure('not_found', `no such node: ${node}`)
      return view(record)
    }),
  ]
}

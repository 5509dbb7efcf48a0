import * as host from '../../shared/contracts/operations.ts'
import { Failure } from '../../shared/failure.ts'
import type { NodeNews } from './node-news.ts'
import type { Reach } from './reach.ts'

interface HostParts extends Pick<NodeNews, 'tell' | 'tellOnce'> {
  reach: Reach
  node: string
}

const settle = async ({ reach, node, tell, tellOnce }: HostParts, kind: string): Promise<void> => {
  try {
    // Storage mounts its file system again for whoever asks; a network made at start is not made again.
    if (kind === 'mount') await reach.ask(node, host.imageList, {})
    else await reach.ask(node, host.networkInfo, {})
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    // It was given back on purpose: the stack is going down.
    if (error.code === 'unavailable') return
    return tellOnce('node.degraded', kind, { node, object: kind, reason: error.message })
  }
  if (kind === 'mount') await tell('node.repaired', kind, { node, object: kind, time: Date.now() })
  else await tellOnce('node.degraded', kind, { node, object: kind, reason: 'it is not there' })
}

/** Two devices with one image: whoever writes through the second destroys the file system of the first. */
const tellForeignLoops = async (
  { node, tellOnce }: HostParts,
  objects: readonly host.Leak[],
): Promise<void> => {
  const loops = objects.filter(({ kind }) => kind === 'loop').map(({ name }) => name)
  if (loops.length < 2) return
  const reason = `its image is attached to ${loops.join(' and ')}; detach the one that is not mounted (losetup --detach)`
  await tellOnce('node.degraded', 'loop', { node, object: 'loop', reason })
}

/** Repairs or tells what is missing of the objects that all containers of the node share. */
export const settleHost = async (parts: HostParts, objects: readonly host.Leak[]): Promise<void> => {
  const present = new Set(objects.map(({ kind }) => kind))
  for (const kind of ['mount', 'bridge', 'nft-table']) if (!present.has(kind)) await settle(parts, kind)
  await tellForeignLoops(parts, objects)
}

import type { Bus } from '../../shared/bus.ts'
import type { Log } from '../../shared/log.ts'
import { shortHash } from '../../shared/names.ts'

/** What a reconciler tells of its node, as events of the node. */
export const createNodeNews = ({ bus, node, log }: { bus: Bus; node: string; log: Log }) => {
  /** What was told already, so that a round does not tell it again; forgotten when it is no longer so. */
  let told = new Set<string>()
  let telling = new Set<string>()

  const tell = async (type: string, about: string, data: Record<string, unknown>): Promise<void> => {
    const messageId = `${node}:${type}:${about}:${shortHash(JSON.stringify(data), 12)}`
    await bus.publishEvent({ kind: 'node', id: node, type, messageId, data })
  }

  return {
    tell,
    /** Tells what goes on being so once, and again only after a round in which it was not. */
    tellOnce: async (type: string, about: string, data: Record<string, unknown>): Promise<void> => {
      const key = `${type}:${about}`
      telling.add(key)
      if (told.has(key)) return
      log.error(data, type)
      await tell(type, about, data)
    },
    /** Begins the next round. */
    next: (): void => {
      told = telling
      telling = new Set()
    },
  }
}

export type NodeNews = ReturnType<typeof createNodeNews>

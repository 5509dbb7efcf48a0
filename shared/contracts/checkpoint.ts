import { z } from 'zod'
import { Container } from './container.ts'
import { CloudEvent, type StoredEvent } from './event.ts'

/** A record that holds what a container's earlier records come to, so that these may be dropped. */
export const checkpointType = 'container.checkpoint'

/** What a container's own events have made of it since its saga completed. */
export const ContainerLife = Container.pick({
  status: true,
  pid: true,
  startedAt: true,
  finishedAt: true,
  exitCode: true,
  oomKilled: true,
  stoppedByUser: true,
  restarts: true,
}).extend({
  /** Which processes have ended, as `pid:startedAt`: the start of one may be told after its end. */
  exited: z.array(z.string()),
})
export type ContainerLife = z.infer<typeof ContainerLife>

/** The saga's records and the latest outcomes as they were stored, and the container's life folded. */
export const Checkpoint = z.object({
  records: z.array(z.object({ sequence: z.number().int(), event: CloudEvent })),
  life: ContainerLife.nullable(),
})
export type Checkpoint = z.infer<typeof Checkpoint>

const checkpointOf = ({ event }: StoredEvent): Checkpoint | undefined =>
  event?.type === checkpointType ? Checkpoint.safeParse(event.data).data : undefined

/** A journal as it was written: the records before its last checkpoint as that holds them, then those since. */
export const expanded = (stored: StoredEvent[]): StoredEvent[] => {
  const at = stored.findLastIndex((record) => checkpointOf(record) !== undefined)
  const last = stored[at]
  if (!last) return stored
  const { subject } = last
  const held = checkpointOf(last)?.records ?? []
  return [
    ...held.map(({ sequence, event }) => ({ sequence, subject, event, raw: JSON.stringify(event) })),
    ...stored.slice(at),
  ]
}

import { verbs } from '../../../../shared/contracts/verbs.ts'
import { Failure } from '../../../../shared/failure.ts'
import { attach } from '../attach/attachment.ts'
import { forwardSignals } from '../attach/signals.ts'
import { ask } from '../bus/ask.ts'
import { type ContainerEvents, endings, killed } from '../bus/container-events.ts'
import type { Session } from '../bus/session.ts'

interface StartTarget {
  id: string
  node: string
  /** The last event of the log that says how it is now. */
  sequence: number
  events: ContainerEvents
  interactive: boolean
  terminal: boolean
  detachKeys: readonly number[]
  /** Called when it is about to be started. */
  begin?: () => void
}

/** How a process ended, and where that stands in the log. */
export interface Exit {
  code: number
  sequence: number
}

/** The end of the process that `container.exited` tells of, or the container's own. */
export const exitAfter = async (events: ContainerEvents, sequence: number): Promise<Exit> => {
  const { event, sequence: at } = await events.until(
    (seen) => seen.sequence > sequence && endings.has(seen.event.type),
  )
  if (event.type === 'container.deleted') return { code: killed, sequence: at }
  const { exitCode } = event.data
  if (typeof exitCode === 'number') return { code: exitCode, sequence: at }
  throw new Failure('interrupted', 'cannot tell the exit code: its record is lost')
}

const starts = new Set(['container.started', 'container.exited'])

/** Starts it, and knows that it was from the log too: the answer may be lost, and whoever asks again is refused. */
const start = async (
  { bus }: Session,
  { id, sequence, events }: Pick<StartTarget, 'id' | 'sequence' | 'events'>,
): Promise<void> => {
  const told = events.until((seen) => seen.sequence > sequence && starts.has(seen.event.type))
  told.catch(() => {}) // whoever waits for the exit hears of it
  await Promise.race([ask(bus, verbs.containerStart, { container: id }, { timeoutMs: 60_000 }), told])
}

/** Attaches first, so that nothing is missed, starts, relays until the process ends, and answers how; undefined when the keys were typed. */
export const attachAndStart = async (
  session: Session,
  { id, node, sequence, events, interactive, terminal, detachKeys, begin }: StartTarget,
): Promise<Exit | undefined> => {
  const { bus } = session
  const started = Promise.withResolvers<void>()
  using _ = forwardSignals((signal) => {
    // The process may end before the signal reaches it; its exit is then the answer.
    started.promise.then(() => ask(bus, verbs.containerKill, { container: id, signal })).catch(() => {})
  })
  using attachment = await attach(session, { id, node, interactive, terminal, detachKeys })
  begin?.()
  await start(session, { id, sequence, events })
  started.resolve()
  if ((await attachment.ended) === 'detached') return undefined
  return exitAfter(events, sequence)
}

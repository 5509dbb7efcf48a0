import { verbs } from '../../../../shared/contracts/verbs.ts'
import { Failure } from '../../../../shared/failure.ts'
import { attach } from '../attach/attachment.ts'
import { forwardSignals } from '../attach/signals.ts'
import { ask } from '../bus/ask.ts'
import type { ContainerEvents } from '../bus/container-events.ts'
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
}

/** The exit code of the process that `container.exited` ends. */
export const exitCodeAfter = async (events: ContainerEvents, sequence: number): Promise<number> => {
  const { event } = await events.until(
    (seen) => seen.sequence > sequence && seen.event.type === 'container.exited',
  )
  const { exitCode } = event.data
  if (typeof exitCode === 'number') return exitCode
  throw new Failure('interrupted', 'cannot tell the exit code: its record is lost')
}

/** Attaches first, so that nothing is missed, starts, relays until the process ends, and answers its exit code. */
export const attachAndStart = async (
  session: Session,
  { id, node, sequence, events, interactive, terminal, detachKeys }: StartTarget,
): Promise<number | 'detached'> => {
  const { bus } = session
  const started = Promise.withResolvers<void>()
  using _ = forwardSignals((signal) => {
    // The process may end before the signal reaches it; its exit is then the answer.
    started.promise.then(() => ask(bus, verbs.containerKill, { container: id, signal })).catch(() => {})
  })
  using attachment = await attach(session, { id, node, interactive, terminal, detachKeys })
  await ask(bus, verbs.containerStart, { container: id }, { timeoutMs: 60_000 })
  started.resolve()
  if ((await attachment.ended) === 'detached') return 'detached'
  return exitCodeAfter(events, sequence)
}

import { verbs } from '../../../../shared/contracts/verbs.ts'
import { forwardSignals } from '../attach/signals.ts'
import { ask } from '../bus/ask.ts'
import type { ContainerEvents } from '../bus/container-events.ts'
import type { Session } from '../bus/session.ts'
import { openLog } from '../logs/container-log.ts'
import { endOf, printLog } from '../logs/print-log.ts'
import { exitCodeAfter } from './attached-start.ts'

interface StoppedContainer {
  id: string
  node: string
  /** The last event of the log that says how it is now. */
  sequence: number
  events: ContainerEvents
}

/**
 * Starts a container that has ended, prints what it writes from then on and answers its exit code. There is no
 * monitor yet that one could attach to: its log tells, and nothing is missed.
 */
export const followAndStart = async (
  session: Session,
  { id, node, sequence, events }: StoppedContainer,
): Promise<number> => {
  const { bus } = session
  const refused = new AbortController()
  const ended = AbortSignal.any([endOf(events), refused.signal])
  using log = await openLog(session, { id, node }, { tail: 0, ended })
  // Begun before it starts: a log that is too long is made anew then.
  const printed = printLog(log.lines)
  try {
    await ask(bus, verbs.containerStart, { container: id }, { timeoutMs: 60_000 })
  } catch (error) {
    refused.abort()
    await printed
    throw error
  }
  using _ = forwardSignals((signal) => {
    ask(bus, verbs.containerKill, { container: id, signal }).catch(() => {}) // it has ended: its exit is the answer
  })
  await printed
  return exitCodeAfter(events, sequence)
}

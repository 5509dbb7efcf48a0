import type { z } from 'zod'
import type { Bus } from '../../../../shared/bus.ts'
import { ContainerId } from '../../../../shared/contracts/identity.ts'
import { verbs } from '../../../../shared/contracts/verbs.ts'
import { Failure } from '../../../../shared/failure.ts'
import { ask } from './ask.ts'

type Records = z.infer<typeof verbs.sagaShow.output>['records']

/** The id of a container by what it is called; one that is gone, or whose log cannot be read, is known by its id alone. */
const idOf = async (bus: Bus, container: string): Promise<string> => {
  try {
    return (await ask(bus, verbs.containerGet, { container })).id
  } catch (error) {
    if (error instanceof Failure && ContainerId.safeParse(container).success) return container
    throw error
  }
}

/**
 * Every record of a container, oldest first, out of the log itself: whoever may read events may read it, on a host
 * that has joined too. Throws `Failure` (`not_found`).
 */
export const journalOf = async (bus: Bus, container: string): Promise<Records> => {
  const events = await bus.journal('container', await idOf(bus, container))
  if (events.length === 0) throw new Failure('not_found', `no such container: ${container}`)
  return events.map(({ sequence, event, raw }) => ({
    sequence,
    time: event?.time ?? null,
    type: event?.type ?? 'unreadable',
    data: event?.data ?? raw,
  }))
}

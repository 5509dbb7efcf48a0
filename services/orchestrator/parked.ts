import type { Bus } from '../../shared/bus.ts'
import type { Container } from '../../shared/contracts/container.ts'
import type { StoredEvent } from '../../shared/contracts/event.ts'
import { Failure } from '../../shared/failure.ts'
import { type ContainerLog, abandonedType, foldContainer } from './container-log.ts'
import { containerSpec } from './container-spec.ts'

const parkedBy = (id: string, sequence: number): string => `${id}:unreadable:${sequence}`

/** The sequence of the record at fault when a failure says that a container's log cannot be read, else undefined. */
export const faultOf = (error: unknown): number | undefined =>
  error instanceof Failure &&
  error.code === 'invalid_message' &&
  typeof error.details['sequence'] === 'number'
    ? error.details['sequence']
    : undefined

/** The container of an id that nothing readable describes. */
const nobody = (id: string, node: string): Container => ({
  id,
  name: id,
  node,
  image: 'unknown:latest',
  status: 'stuck',
  createdAt: '',
  spec: containerSpec({ image: 'unknown' }, { id, node }),
  steps: {},
  sequence: 0,
})

const readablePart = (events: readonly StoredEvent[], fault: number): Container | undefined => {
  try {
    return foldContainer(events.filter(({ sequence }) => sequence < fault)).container
  } catch (error) {
    if (faultOf(error) === undefined) throw error
    return undefined
  }
}

/** The container as it was before its log was given up or became unreadable. */
export const lastKnown = (events: readonly StoredEvent[]): Container | undefined => {
  const given = events.findLastIndex(({ event }) => event?.type === abandonedType)
  const before = given === -1 ? events : events.slice(0, given)
  try {
    return foldContainer(before).container
  } catch (error) {
    const fault = faultOf(error)
    if (fault === undefined) throw error
    return readablePart(before, fault)
  }
}

/** What is shown of a container whose log cannot be read: stuck, with what the records before the fault say of it. */
const parked = (id: string, node: string, events: readonly StoredEvent[], failure: Failure): Container => {
  const before = readablePart(events, faultOf(failure) ?? 0) ?? nobody(id, node)
  return {
    ...before,
    status: 'stuck',
    error: { code: failure.code, reason: failure.message },
    leaked: Object.entries(before.steps)
      .filter(([, { status }]) => status !== 'undone')
      .map(([step]) => ({ step, reason: 'its log cannot be read' })),
    sequence: events.at(-1)?.sequence ?? 0,
  }
}

export interface View {
  container: Container | undefined
  /** What the log says, if it can be read. */
  known?: ContainerLog
  /** Why the log of a parked container cannot be read. */
  failure?: Failure
  events: readonly StoredEvent[]
}

/** A container for whoever looks at it: one whose log cannot be read is there too, as stuck. */
export const viewContainer = async (bus: Bus, id: string, node: string): Promise<View> =>
  viewLog(await bus.journal('container', id), id, node)

/** The same of a log that is at hand. */
export const viewLog = (events: readonly StoredEvent[], id: string, node: string): View => {
  try {
    const known = foldContainer(events)
    return { container: known.container, known, events }
  } catch (error) {
    if (!(error instanceof Failure) || faultOf(error) === undefined) throw error
    return { container: parked(id, node, events, error), failure: error, events }
  }
}

/** Tells once, on the container's own subject, that its log cannot be read from this sequence on. */
export const tellParked = async (
  bus: Bus,
  id: string,
  { events, failure }: { events: readonly StoredEvent[]; failure: Failure },
): Promise<void> => {
  const sequence = faultOf(failure) ?? 0
  const messageId = parkedBy(id, sequence)
  if (events.some(({ event }) => event?.id === messageId)) return
  const data = { id, code: failure.code, reason: failure.message, sequence }
  await bus.publishEvent({ kind: 'container', id, type: 'container.stuck', messageId, data })
}

/** Closes a log that cannot be read, on an operator's word: what comes after it begins anew. */
export const abandon = async (bus: Bus, id: string, reason: string): Promise<void> => {
  const events = await bus.journal('container', id)
  const last = events.at(-1)?.sequence ?? 0
  const messageId = `${id}:abandoned:${last}`
  await bus.append({ kind: 'container', id, type: abandonedType, messageId, data: { id, reason } }, last)
}

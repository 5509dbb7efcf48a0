import type { Bus } from '../../shared/bus.ts'
import { Checkpoint, ContainerLife, checkpointType } from '../../shared/contracts/checkpoint.ts'
import type { Container } from '../../shared/contracts/container.ts'
import { type CloudEvent, type StoredEvent, outcomeTypes } from '../../shared/contracts/event.ts'
import { Failure } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import { type ContainerLog, abandonedType } from './container-log.ts'
import { viewContainer } from './parked.ts'

/** Records after which a journal gets a checkpoint; far below what the stream keeps of one container. */
const mostRecords = 500
/** Outcomes that are kept, so that a command that is delivered once more finds that it has had its own. */
const mostOutcomes = 100
/** The bus takes messages of one mebibyte. */
const mostBytes = 900_000
const mostExits = 16

interface CheckpointParts {
  bus: Bus
  log: Log
}

const isOutcome = ({ event }: StoredEvent): boolean =>
  (outcomeTypes as readonly (string | undefined)[]).includes(event?.type)

const isRecord = ({ event }: StoredEvent): boolean => event !== undefined && 'record' in event.data

/** Where what still matters begins: the last saga's first record, or that of the one that was given up. */
const beginOf = (events: readonly StoredEvent[], sagaBegan: number): number => {
  const given = events.findLastIndex(({ event }) => event?.type === abandonedType)
  const began = events.findLastIndex(({ sequence }) => sequence === sagaBegan)
  return given > began ? 0 : Math.max(began, 0)
}

/** An outcome that has no part in the saga only says which command has had it. */
const brief = (event: CloudEvent): CloudEvent => ({ ...event, data: { id: event.subject } })

const withoutTranscript = (event: CloudEvent): CloudEvent => {
  const record = event.data['record'] as { transitions?: { transcript?: unknown }[] }
  const transitions = record.transitions?.map((transition) => ({ ...transition, transcript: undefined }))
  return { ...event, data: { ...event.data, record: { ...record, ...(transitions ? { transitions } : {}) } } }
}

const kindOf = (event: CloudEvent): unknown => (event.data['record'] as { kind?: unknown } | undefined)?.kind

const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value))

const recordsOf = ({ events, content }: ContainerLog): Checkpoint['records'] => {
  const began = content.entries.findLast(({ record }) => record.kind === 'started')?.sequence ?? 0
  const since = new Set(events.slice(beginOf(events, began)))
  const outcomes = new Set(events.filter(isOutcome).slice(-mostOutcomes))
  const kept = events.flatMap((stored): Checkpoint['records'] => {
    const { sequence, event } = stored
    if (!event) return []
    if (since.has(stored) && (isRecord(stored) || event.type === abandonedType)) return [{ sequence, event }]
    return outcomes.has(stored) ? [{ sequence, event: brief(event) }] : []
  })
  if (bytesOf(kept) < mostBytes) return kept
  // How it was made stays whole; what has failed again and again since need not.
  const made = kept.findIndex(({ event }) => kindOf(event) === 'ended')
  return kept.map(({ sequence, event }, index) => ({
    sequence,
    event: index > made && kindOf(event) !== undefined ? withoutTranscript(event) : event,
  }))
}

const lifeOf = ({ events, saga, container }: ContainerLog): ContainerLife | null => {
  if (saga?.outcome !== 'completed' || !container) return null
  const exited = events.flatMap(({ event }) => {
    if (event?.type === checkpointType) return Checkpoint.safeParse(event.data).data?.life?.exited ?? []
    return event?.type === 'container.exited' ? [`${event.data['pid']}:${event.data['startedAt']}`] : []
  })
  return ContainerLife.parse({ ...container, exited: exited.slice(-mostExits) })
}

/**
 * Appends one record that holds all that a container's journal comes to, so that the stream may drop what
 * came before; answers whether it did. Compare-and-set: whoever has written meanwhile is not overwritten.
 */
const checkpoint = async (
  { bus, log }: CheckpointParts,
  id: string,
  known: ContainerLog,
): Promise<boolean> => {
  const { sequence } = known.content
  const data: Checkpoint = { records: recordsOf(known), life: lifeOf(known) }
  if (bytesOf(data) > mostBytes) {
    log.warn({ container: id, bytes: bytesOf(data) }, 'journal too large for a checkpoint')
    return false
  }
  const messageId = `${id}:checkpoint:${sequence}`
  try {
    await bus.append({ kind: 'container', id, type: checkpointType, messageId, data }, sequence)
    return true
  } catch (error) {
    if (!(error instanceof Failure) || !(error.retryable || error.code === 'stale')) throw error
    return false // the next look at the journal tries again
  }
}

/** How many records a journal has since its last checkpoint. */
const lengthOf = ({ events }: ContainerLog): number =>
  events.length - 1 - events.findLastIndex(({ event }) => event?.type === checkpointType)

/** Gives a journal that has become long a checkpoint. */
export const bounded = async (parts: CheckpointParts, id: string, known: ContainerLog): Promise<void> => {
  if (known.saga && lengthOf(known) >= mostRecords) await checkpoint(parts, id, known)
}

/**
 * Gives living containers a checkpoint whose journal begins in what a nearly full stream will drop next.
 * The stream drops its oldest records whosever they are.
 */
export const keepLiving = async (parts: CheckpointParts, living: readonly Container[]): Promise<void> => {
  const { bytes, maxBytes, firstSequence, lastSequence } = await parts.bus.logState()
  if (bytes < maxBytes / 2) return
  const endangered = (firstSequence + lastSequence) / 2
  for (const { id, node } of living) {
    const { known } = await viewContainer(parts.bus, id, node)
    const at = known?.events.findLast(({ event }) => event?.type === checkpointType) ?? known?.events[0]
    if (known?.saga && at && at.sequence < endangered) await checkpoint(parts, id, known)
  }
}

import { z } from 'zod'

/** The types of a container's events that end a command: exactly one of them carries the command's id. */
export const outcomeTypes = [
  'container.running',
  'container.created',
  'container.failed',
  'container.rejected',
  'container.deleted',
  'container.stuck',
] as const

/** A fact: CloudEvents 1.0, structured JSON. `commandid` is the message id of the command that led to it. */
export const CloudEvent = z.object({
  specversion: z.literal('1.0'),
  id: z.string(),
  source: z.string(),
  type: z.string(),
  subject: z.string(),
  time: z.string(),
  datacontenttype: z.literal('application/json'),
  commandid: z.string().optional(),
  data: z.record(z.string(), z.unknown()),
})
export type CloudEvent = z.infer<typeof CloudEvent>

/** A fact to be appended; `messageId` makes its repetition harmless and becomes the event's id. */
export interface NewEvent {
  kind: string
  id: string
  type: string
  data: Record<string, unknown>
  messageId: string
  commandId?: string | undefined
}

/** One record of the log, as it was stored. */
export interface StoredEvent {
  sequence: number
  subject: string
  /** Undefined when the record is not a CloudEvent; `raw` says what it is. */
  event: CloudEvent | undefined
  raw: string
  /** The sequence that its writer took for the last of the subject; absent where nobody compared. */
  expected?: number | undefined
}

/** The CloudEvent of a new fact. */
export const cloudEvent = (
  { id, type, data, messageId, commandId }: NewEvent,
  source: string,
): CloudEvent => ({
  specversion: '1.0',
  id: messageId,
  source,
  type,
  subject: id,
  time: new Date().toISOString(),
  datacontenttype: 'application/json',
  ...(commandId ? { commandid: commandId } : {}),
  data,
})

/** The CloudEvent that JSON holds; undefined when it is none. */
export const parseEvent = (raw: string): CloudEvent | undefined => {
  try {
    return CloudEvent.safeParse(JSON.parse(raw)).data
  } catch {
    return undefined
  }
}

/** A stored record, which may be anything: its reader says what is wrong with it, and where. */
export const storedEvent = (sequence: number, subject: string, body: Uint8Array): StoredEvent => {
  const raw = new TextDecoder().decode(body)
  return { sequence, subject, event: parseEvent(raw), raw }
}

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

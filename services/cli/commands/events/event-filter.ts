import type { CloudEvent } from '../../../../shared/contracts/event.ts'
import { durationMs } from '../../../../shared/contracts/quantity.ts'
import { Failure } from '../../../../shared/failure.ts'

/** Which events to show. */
export interface EventFilter {
  since?: number
  container?: string
  type?: string
}

/** A moment as Docker's `--since` takes it: RFC 3339, seconds since the epoch, or how long ago (`10m`). Throws `Failure`. */
export const parseMoment = (text: string, now = Date.now()): number => {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000
  const ago = durationMs(text)
  if (ago !== undefined) return now - ago
  const time = Date.parse(text)
  if (Number.isFinite(time)) return time
  throw new Failure(
    'invalid_message',
    `cannot use time "${text}": give a date, seconds since 1970, or a duration as "10m"`,
  )
}

/** The filter that `--filter key=value` flags mean. Throws `Failure` (`invalid_message`) for a key that does not exist. */
export const parseFilter = (entries: readonly string[], since: string | undefined): EventFilter => {
  const filter: EventFilter = since === undefined ? {} : { since: parseMoment(since) }
  for (const entry of entries) {
    const match = /^(container|type)=(.+)$/.exec(entry)
    if (!match)
      throw new Failure('invalid_message', `cannot use filter "${entry}": give container=ID or type=NAME`)
    filter[match[1] as 'container' | 'type'] = match[2] ?? ''
  }
  return filter
}

/** Whether the filter lets the event pass; `type` is the whole type or its beginning, as `container`. */
export const passes = ({ since, type }: EventFilter, event: CloudEvent): boolean =>
  (since === undefined || Date.parse(event.time) >= since) &&
  (type === undefined || event.type === type || event.type.startsWith(`${type}.`))

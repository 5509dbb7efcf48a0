import type { CloudEvent } from '../../../../shared/contracts/event.ts'
import { transitionsOf } from '../../output/steps.ts'

const attributes = (data: Record<string, unknown>): string[] =>
  Object.entries(data)
    .filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value))
    .map(([key, value]) => `${key}=${String(value)}`)

const errorOf = ({ error }: Record<string, unknown>): string[] =>
  typeof error === 'object' && error !== null ? attributes(error as Record<string, unknown>) : []

/** One line as Docker's: `TIME TYPE SUBJECT (key=value, …)`; a journal record shows its steps. */
export const eventLine = (event: CloudEvent): string => {
  const steps = transitionsOf(event).map(({ step, status }) => `${step}=${status}`)
  const shown = [...attributes(event.data), ...errorOf(event.data), ...steps]
    .join(', ')
    .replaceAll(/\s+/g, ' ')
  return `${event.time} ${event.type} ${event.subject}${shown ? ` (${shown})` : ''}`
}

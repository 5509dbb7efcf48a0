import { ulid } from 'ulid'
import type { Bus } from '../../../../shared/bus.ts'
import { type CloudEvent, outcomeTypes } from '../../../../shared/contracts/event.ts'
import { Failure, type FailureCode, failureCodes } from '../../../../shared/failure.ts'
import { remark } from '../../output/print.ts'
import { type StepDisplay } from '../../output/steps.ts'
import { type ContainerEvents, type SeenEvent, watchContainer } from './container-events.ts'

/** After this long without a word, the caller is told what is being waited for. */
const silenceMs = 3000

const outcomes: readonly string[] = outcomeTypes
const failures: readonly string[] = ['container.failed', 'container.rejected', 'container.stuck']

const codeOf = (code: unknown): FailureCode =>
  typeof code === 'string' && code in failureCodes ? (code as FailureCode) : 'system'

/** The failure that an outcome event stands for, or undefined when the command succeeded. */
export const failureOfOutcome = ({ type, data }: CloudEvent): Failure | undefined => {
  if (!failures.includes(type)) return undefined
  const error = (typeof data['error'] === 'object' ? data['error'] : undefined) ?? data
  const { code, step, reason } = error as { code?: unknown; step?: unknown; reason?: unknown }
  const where = typeof step === 'string' ? `${step}: ` : ''
  const stuck =
    type === 'container.stuck' ? ' (stuck: not everything could be undone, see "dolly inspect")' : ''
  return new Failure(codeOf(code), `${where}${String(reason ?? type)}${stuck}`)
}

const hintOfSilence = (subject: string): Disposable => {
  const timer = setTimeout(
    () => remark(`dolly: ${subject} is accepted; waiting for an orchestrator to take it up`),
    silenceMs,
  )
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}

interface CommandOptions {
  /** The container's events from here on; `all` for a container that is new. */
  after: 'all' | number
  display: StepDisplay
}

export interface CommandRun {
  /** The event that ended the command, and its place in the log. */
  outcome: CloudEvent
  sequence: number
  events: ContainerEvents
}

/** Publishes a command and waits for its outcome among events that are followed already. Throws the `Failure` that it tells. */
export const commandAmong = async (
  bus: Bus,
  events: ContainerEvents,
  { subject, body, messageId = ulid() }: { subject: string; body: object; messageId?: string },
): Promise<SeenEvent> => {
  await bus.publishCommand(subject, body, { messageId })
  const seen = await events.until(
    ({ event }) => event.commandid === messageId && outcomes.includes(event.type),
  )
  const failure = failureOfOutcome(seen.event)
  if (failure) throw failure
  return seen
}

/**
 * Publishes a command for container `id` and waits for the event that carries its message id and ends it.
 * Throws the `Failure` that the event tells. The caller disposes the events.
 */
export const command = async (
  bus: Bus,
  { subject, id, body }: { subject: string; id: string; body: object },
  { after, display }: CommandOptions,
): Promise<CommandRun> => {
  const messageId = ulid()
  using hint = hintOfSilence(subject)
  let mine = false
  const events = watchContainer(bus, id, {
    after,
    onEvent: ({ event }) => {
      mine ||= event.commandid === messageId
      if (!mine) return
      hint[Symbol.dispose]()
      display.show(event)
    },
  })
  try {
    const { event: outcome, sequence } = await commandAmong(bus, events, { subject, body, messageId })
    return { outcome, sequence, events }
  } catch (error) {
    await events[Symbol.asyncDispose]()
    throw error
  }
}

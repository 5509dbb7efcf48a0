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

const hintOfSilence = (subject: string) => {
  const say = () => remark(`dolly: ${subject} is accepted; waiting for an orchestrator to take it up`)
  let timer: NodeJS.Timeout | undefined
  let over = false
  return {
    /** The bus has the command. */
    begin: (): void => {
      if (!over) timer = setTimeout(say, silenceMs)
    },
    [Symbol.dispose]: (): void => {
      over = true
      clearTimeout(timer)
    },
  }
}

interface CommandOptions {
  /** The container's events from here on; `all` for a container that is new. */
  after: 'all' | number
  display: StepDisplay
  /** Ends the wait; the command stays commanded. */
  signal?: AbortSignal | undefined
}

export interface CommandRun {
  /** The event that ended the command, and its place in the log. */
  outcome: CloudEvent
  sequence: number
  events: ContainerEvents
}

interface Publication {
  subject: string
  body: object
  messageId: string
}

const publish = (bus: Bus, { subject, body, messageId }: Publication) =>
  bus.publishCommand(subject, body, { messageId })

const outcomeAmong = async (events: ContainerEvents, messageId: string): Promise<SeenEvent> => {
  const seen = await events.until(
    ({ event }) => event.commandid === messageId && outcomes.includes(event.type),
  )
  const failure = failureOfOutcome(seen.event)
  if (failure) throw failure
  return seen
}

/** Publishes a command and waits for its outcome among events that are followed already. Throws the `Failure` that it tells. */
export const commandAmong = async (
  bus: Bus,
  events: ContainerEvents,
  publication: Publication,
): Promise<SeenEvent> => {
  await publish(bus, publication)
  return outcomeAmong(events, publication.messageId)
}

/**
 * Publishes a command for container `id` and waits for the event that carries its message id and ends it.
 * Throws the `Failure` that the event tells. The caller disposes the events.
 */
export const command = async (
  bus: Bus,
  { subject, id, body }: { subject: string; id: string; body: object },
  { after, display, signal }: CommandOptions,
): Promise<CommandRun> => {
  const messageId = ulid()
  using hint = hintOfSilence(subject)
  const stop = () => void events[Symbol.asyncDispose]()
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
  signal?.addEventListener('abort', stop, { once: true })
  try {
    await publish(bus, { subject, body, messageId })
    hint.begin()
    const { event: outcome, sequence } = await outcomeAmong(events, messageId)
    return { outcome, sequence, events }
  } catch (error) {
    await events[Symbol.asyncDispose]()
    throw error
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}

import { setTimeout as delay } from 'node:timers/promises'
import type { z } from 'zod'
import type { Bus } from '../../../../shared/bus.ts'
import { ErrorCode } from '../../../../shared/bus/nats.ts'
import type { Operation } from '../../../../shared/contracts/contract.ts'
import type { Verb } from '../../../../shared/contracts/verbs.ts'
import { Failure, errnoOf } from '../../../../shared/failure.ts'
import { patienceMs } from '../../../../shared/patience.ts'
import { subjects } from '../../../../shared/subjects.ts'
import { parseAnswer, parseInput, parseReply } from '../../../../shared/wire.ts'

interface AskOptions {
  timeoutMs?: number
  signal?: AbortSignal
}

/** Asks; what the bus itself refuses is said in the words of who may. */
const request = async (bus: Bus, subject: string, input: unknown, options: AskOptions): Promise<unknown> => {
  try {
    return await bus.request(subject, input, options)
  } catch (error) {
    if (!(error instanceof Failure) || errnoOf(error.cause) !== ErrorCode.PermissionsViolation) throw error
    const may =
      'the bus lets only an operator do this; "dolly node promote" on its host makes one of a node that has joined'
    throw new Failure('not_permitted', may, { cause: error })
  }
}

const usualWaitMs = 30_000
/** When, after the first time, a question is asked again that nobody has answered yet. */
const againAfterMs = [2000, 6000, 14_000]

/** Asks until one is answered: a server that reads its users anew lets fall what is on its way between people and services. */
const requestAgain = async (
  bus: Bus,
  subject: string,
  input: unknown,
  { timeoutMs = usualWaitMs, signal }: AskOptions,
): Promise<unknown> => {
  const answered = new AbortController()
  const until = signal ? AbortSignal.any([signal, answered.signal]) : answered.signal
  const askAfter = async (afterMs: number) => {
    await delay(patienceMs(afterMs), undefined, { signal: until })
    return request(bus, subject, input, { timeoutMs: timeoutMs - afterMs, signal: until })
  }
  try {
    const first = request(bus, subject, input, { timeoutMs, signal: until })
    return await Promise.race([first, ...againAfterMs.filter((ms) => ms < timeoutMs).map(askAfter)])
  } finally {
    answered.abort()
  }
}

/**
 * Asks a public verb, an idempotent one again while nobody answers. Throws the answerer's `Failure`, `unavailable` when
 * nobody is there, `timeout`.
 */
export const ask = async <In extends z.ZodType, Out extends z.ZodType>(
  bus: Bus,
  verb: Verb<In, Out>,
  input: z.input<In>,
  options: AskOptions = {},
): Promise<z.output<Out>> => {
  parseInput(verb.input, input)
  const carry = verb.idempotent ? requestAgain : request
  return parseAnswer(verb.output, await carry(bus, verb.subject, input, options), verb.subject)
}

/** Asks for a list page after page. Throws as `ask` does. */
export const askPages = async <In extends z.ZodType, Out extends z.ZodType<{ next?: string | undefined }>>(
  bus: Bus,
  verb: Verb<In, Out>,
  input: z.input<In>,
  options: { timeoutMs?: number } = {},
): Promise<z.output<Out>[]> => {
  const pages = [await ask(bus, verb, input, options)]
  for (let next = pages[0]?.next; next; next = pages.at(-1)?.next)
    pages.push(await ask(bus, verb, { ...(input as object), cursor: next } as z.input<In>, options))
  return pages
}

/** Asks one service of one host, past the orchestrator: for what an operator wants to know of the host itself. */
export const askHost = async <In extends z.ZodType, Out extends z.ZodType>(
  bus: Bus,
  node: string,
  { service, verb, output }: Operation<In, Out>,
  input: z.input<In>,
  timeoutMs = 2000,
): Promise<z.output<Out>> => {
  const subject = subjects.host(node, service, verb)
  return parseReply(output, await request(bus, subject, input, { timeoutMs }), subject).output
}

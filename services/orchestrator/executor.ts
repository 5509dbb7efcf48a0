import { z } from 'zod'
import type { Bus } from '../../shared/bus.ts'
import { Failure } from '../../shared/failure.ts'
import { subjects } from '../../shared/subjects.ts'
import { parseReply, parseInput } from '../../shared/wire.ts'
import type { Executor, StepRequest } from './saga/perform.ts'

/** Does and undoes the steps that are the fleet's and not a host's. */
export type LocalSteps = Record<
  string,
  { do: (input: never) => Promise<object>; undo: (input: never) => Promise<void> }
>

/** An undo's answer says nothing. */
const nothing = z.unknown().transform(() => ({}))

const Placed = z.object({ node: z.string() })

/** Sends steps to the host services of the container's node, and gives up a request whose service has started anew. */
export const hostExecutor = (
  bus: Bus,
  local: LocalSteps,
): Executor & { restarted: (node: string, service: string) => void } => {
  const waiting = new Map<string, Set<AbortController>>()
  const giveUp = (group: Iterable<AbortController>, why: string): void => {
    for (const controller of group) controller.abort(new Failure('unavailable', why))
  }
  // Whatever was asked or answered meanwhile may be lost; asked again, it is done once all the same.
  bus.onReconnect(() =>
    giveUp(
      [...waiting.values()].flatMap((group) => [...group]),
      'the bus was away',
    ),
  )

  const ask = async (
    subject: string,
    key: string,
    body: unknown,
    { timeoutMs, fence, inject, signal }: StepRequest,
  ) => {
    const either = new AbortController()
    // Not `AbortSignal.any`, which leaves weak references for the collector, as many as there are requests.
    const stop = () => either.abort(signal.reason)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    const group = waiting.get(key) ?? new Set()
    waiting.set(key, group.add(either))
    try {
      return await bus.request(subject, body, { timeoutMs, fence, inject, signal: either.signal })
    } finally {
      group.delete(either)
      signal.removeEventListener('abort', stop)
    }
  }

  return {
    act: async (request) => {
      const { contract, direction, input } = request
      const body = (
        direction === 'do'
          ? parseInput(contract.input, { ...input, origin: input })
          : parseInput(contract.undoInput, input)
      ) as object
      if (contract.service === 'orchestrator') {
        const step = local[contract.name]
        if (!step) throw new Error(`no local step ${contract.name}`)
        const output =
          direction === 'do' ? await step.do(body as never) : (await step.undo(body as never), {})
        return { output: output as Record<string, unknown>, transcript: [] }
      }
      const { node } = Placed.parse(input)
      const verb = direction === 'do' ? contract.doVerb : contract.undoVerb
      const subject = subjects.host(node, contract.service, verb)
      const reply = await ask(subject, `${node}-${contract.service}`, body, request)
      const schema = direction === 'do' ? contract.output : nothing
      const { output, transcript } = parseReply(schema, reply, subject)
      return { output: output as Record<string, unknown>, transcript }
    },
    prepare: ({ contract, input, fence }) => {
      const { node } = Placed.parse(input)
      if (contract.prepareVerb)
        bus.tell(subjects.host(node, contract.service, contract.prepareVerb), input, { fence })
    },
    restarted: (node, service) =>
      giveUp(waiting.get(`${node}-${service}`) ?? [], `${service} on ${node} was restarted while it worked`),
  }
}

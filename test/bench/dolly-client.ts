import { ulid } from 'ulid'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { execExitCode } from '../../services/cli/commands/bus/exec-exit-code.ts'
import { connectBus } from '../../shared/bus.ts'
import type { Config } from '../../shared/config.ts'
import { type CloudEvent, outcomeTypes } from '../../shared/contracts/event.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { createLog } from '../../shared/log.ts'
import { subjects } from '../../shared/subjects.ts'

const outcomeWithinMs = 60_000

const isOutcome = ({ type }: CloudEvent): boolean => (outcomeTypes as readonly string[]).includes(type)

/** A plain client of a stack that measures from the publishing of a command to the arrival of its outcome. */
export const dollyClient = async (config: Config) => {
  const bus = await connectBus(config, { role: 'operator', log: createLog({}, 'silent'), patient: false })
  const waiting = new Map<string, (event: CloudEvent) => void>()
  bus.hints('container', (_, raw) => {
    if (!raw.includes('"commandid"')) return
    const event = JSON.parse(raw) as CloudEvent
    if (isOutcome(event)) waiting.get(event.commandid ?? '')?.(event)
  })

  const timed = async (
    subject: string,
    body: object,
    wanted: string,
    withinMs = outcomeWithinMs,
  ): Promise<number> => {
    const messageId = ulid()
    const { promise, resolve, reject } = Promise.withResolvers<CloudEvent>()
    const limit = setTimeout(
      () => reject(new Error(`no outcome of ${subject} within ${withinMs} ms`)),
      withinMs,
    )
    waiting.set(messageId, resolve)
    try {
      const start = performance.now()
      const [event] = await Promise.all([promise, bus.publishCommand(subject, body, { messageId })])
      const duration = performance.now() - start
      if (event.type !== wanted)
        throw new Error(`${event.type}, not ${wanted}: ${JSON.stringify(event.data)}`)
      return duration
    } finally {
      clearTimeout(limit)
      waiting.delete(messageId)
    }
  }

  return {
    bus,
    /** Milliseconds until `container.running`. */
    create: (message: { id: string; [key: string]: unknown }, { withinMs = outcomeWithinMs } = {}) =>
      timed(
        subjects.create,
        { image: 'busybox', command: ['sleep', '1000'], ...message },
        'container.running',
        withinMs,
      ),
    /** Milliseconds until `container.deleted`. */
    remove: (id: string) => timed(subjects.delete, { id, force: true }, 'container.deleted'),
    /** Milliseconds until a process in the container is known to have ended. */
    exec: async (container: string, args: string[]): Promise<number> => {
      const start = performance.now()
      const { execId } = await ask(bus, verbs.containerExec, { container, args })
      const ended = execExitCode(bus, container, execId)
      await ask(bus, verbs.containerExecStart, { container, execId })
      const code = await ended
      if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}`)
      return performance.now() - start
    },
    [Symbol.asyncDispose]: () => bus.close(),
  }
}

export type DollyClient = Awaited<ReturnType<typeof dollyClient>>

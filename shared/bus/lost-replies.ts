import { Failure } from '../failure.ts'
import type { NatsConnection } from './nats.ts'

const waiting = new WeakMap<NatsConnection, Set<(lost: Failure) => void>>()

/**
 * Waits for what the server answers; one that was away meanwhile has forgotten the question. Only for what
 * may be asked again: it throws `Failure` (`unavailable`) as soon as the server is back.
 */
export const unlessLost = async <T>(connection: NatsConnection, reply: Promise<T>): Promise<T> => {
  const { promise: lost, reject } = Promise.withResolvers<never>()
  const all = waiting.get(connection) ?? new Set()
  waiting.set(connection, all.add(reject))
  try {
    return await Promise.race([reply, lost])
  } finally {
    all.delete(reject)
  }
}

/** Ends every such wait: the server is back. */
export const loseReplies = (connection: NatsConnection): void => {
  for (const reject of waiting.get(connection) ?? []) reject(new Failure('unavailable', 'the bus was away'))
}

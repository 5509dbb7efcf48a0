import { jetstream } from './jetstream.ts'
import type { NatsConnection } from './nats.ts'

/** Ends the messages with the signal. */
const stopWith = (signal: AbortSignal, messages: { stop(): void }): void => {
  signal.addEventListener('abort', () => messages.stop(), { once: true })
  if (signal.aborted) messages.stop()
}

/** The messages of a durable consumer, as many at once as it lets be unacknowledged; ends with the signal. */
export const consume = async function* (
  connection: NatsConnection,
  stream: string,
  durable: string,
  signal: AbortSignal,
) {
  const consumer = await jetstream(connection).consumers.get(stream, durable)
  const { config: limits } = await consumer.info(true)
  const messages = await consumer.consume({
    max_messages: limits.max_ack_pending ?? 100,
    idle_heartbeat: 2000,
    expires: 10_000,
  })
  stopWith(signal, messages)
  yield* messages
}

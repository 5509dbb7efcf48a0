import type { Config } from '../config.ts'
import { streams } from '../streams.ts'
import { jetstream } from './jetstream.ts'
import type { ConsumerConfig, NatsConnection, StreamConfig } from './nats.ts'
import { patienceMs } from '../patience.ts'

/** Makes or updates the streams, their consumers and the buckets; needs the role `bootstrap`: nobody else may. */
export const ensureStreams = async (connection: NatsConnection, config: Config): Promise<void> => {
  const manager = await connection.jetstreamManager({ timeout: patienceMs(10_000) })
  const { commands, events, consumers, projector, restarts, buckets } = streams(config)
  for (const stream of [commands, events] as unknown as StreamConfig[]) {
    const existing = await manager.streams.info(stream.name).catch(() => undefined) // absent, or the add says why not
    await (existing ? manager.streams.update(stream.name, stream) : manager.streams.add(stream))
  }
  // What is there keeps its place in the stream and takes the limits of now.
  const ensureConsumer = async (stream: string, consumer: ConsumerConfig): Promise<void> => {
    const name = consumer.durable_name ?? ''
    const existing = await manager.consumers.info(stream, name).catch(() => undefined) // absent, or the add says why not
    await (existing
      ? manager.consumers.update(stream, name, consumer)
      : manager.consumers.add(stream, consumer))
  }
  for (const consumer of consumers as unknown as ConsumerConfig[]) await ensureConsumer('COMMANDS', consumer)
  for (const consumer of [projector, restarts] as unknown as ConsumerConfig[])
    await ensureConsumer('EVENTS', consumer)
  for (const bucket of buckets) {
    const store = await jetstream(connection).views.kv(bucket, { history: 1 })
    const { config: stored } = (await store.status()).streamInfo
    // The client's type does not know it; a server that does keeps it for ever.
    if (!(stored as { allow_msg_ttl?: boolean }).allow_msg_ttl)
      await manager.streams.update(stored.name, { ...stored, allow_msg_ttl: true } as StreamConfig)
  }
}

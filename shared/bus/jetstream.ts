import { patienceMs } from '../patience.ts'
import type { JetStreamClient, NatsConnection } from './nats.ts'

const answerWithinMs = 5000

/** The streams of a connection, as one publishes to them and consumes from them. */
export const jetstream = (connection: NatsConnection): JetStreamClient =>
  connection.jetstream({ timeout: patienceMs(answerWithinMs) })

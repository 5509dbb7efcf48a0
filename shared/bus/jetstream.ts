import { patienceMs } from '../patience.ts'
import { failureOf } from './failure-of.ts'
import { unlessLost } from './lost-replies.ts'
import type { JetStreamClient, JetStreamManager, NatsConnection } from './nats.ts'

const answerWithinMs = 5000

/** The streams of a connection, as one publishes to them and consumes from them. */
export const jetstream = (connection: NatsConnection): JetStreamClient =>
  connection.jetstream({ timeout: patienceMs(answerWithinMs) })

/** What the server says of a stream or consumer. Throws `Failure`, also when it was away meanwhile. */
export const asked = async <T>(
  connection: NatsConnection,
  what: string,
  act: (manager: JetStreamManager) => Promise<T>,
): Promise<T> => {
  try {
    const options = { checkAPI: false, timeout: patienceMs(answerWithinMs) }
    return await unlessLost(connection, act(await connection.jetstreamManager(options)))
  } catch (error) {
    throw failureOf(error, `cannot ask for ${what}`)
  }
}

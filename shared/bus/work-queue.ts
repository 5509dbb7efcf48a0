import { Failure } from '../failure.ts'
import type { Command } from '../contracts/command.ts'
import { encode } from '../wire.ts'
import { consume } from './consume.ts'
import { failureOf } from './failure-of.ts'
import { unlessLost } from './lost-replies.ts'
import { type JsMsg, type NatsConnection, NatsError } from './nats.ts'

const commandOf = (connection: NatsConnection, message: JsMsg): Command => ({
  subject: message.subject,
  body: message.data,
  messageId: message.headers?.get('Nats-Msg-Id') || undefined,
  sequence: message.seq,
  time: new Date(message.info.timestampNanos / 1e6),
  deliveries: message.info.redeliveryCount,
  working: () => message.working(),
  done: async () => {
    await unlessLost(connection, message.ackAck()).catch((error: unknown) => {
      throw failureOf(error, `cannot acknowledge ${message.subject}`)
    })
  },
  reject: (reason) => message.term(reason),
  release: (delayMs) => message.nak(delayMs),
})

/** JSNoMessageFoundErr */
const noMessage = 10037

/** Only the server's word that there is none means none: it may be away, or late. */
const absentOr =
  (what: string) =>
  (error: unknown): undefined => {
    if (error instanceof NatsError && error.api_error?.err_code === noMessage) return undefined
    throw failureOf(error, what)
  }

/** Commands, kept until they have their outcome. */
export const workQueue = (connection: NatsConnection) => ({
  /** Publishes a command; the receipt says that the work queue has it. */
  publishCommand: async (subject: string, body: unknown, { messageId }: { messageId?: string } = {}) => {
    try {
      const options = messageId ? { msgID: messageId } : {}
      const published = connection.jetstream().publish(subject, encode(body), options)
      const { stream, seq, duplicate } = await unlessLost(connection, published)
      return { stream, sequence: seq, duplicate }
    } catch (error) {
      const failure = failureOf(error, `cannot publish ${subject}`)
      if (failure.code !== 'timeout') throw failure
      // A server that cannot write does not answer.
      const reason = `${failure.message}: the bus has not stored it; its disk may be full`
      throw new Failure('timeout', reason, { cause: error })
    }
  },

  /** Hands each command of a durable consumer to `handle` at once; the consumer's limit bounds how many. Ends with the signal. */
  consumeCommands: async (durable: string, handle: (command: Command) => void, signal: AbortSignal) => {
    for await (const message of consume(connection, 'COMMANDS', durable, signal))
      handle(commandOf(connection, message))
  },

  /** Commands still in the work queue up to a sequence, oldest first. Throws `Failure` when that cannot be known. */
  pendingCommands: async (subject: string, before: number): Promise<Uint8Array[]> => {
    const { streams: stored } = await connection.jetstreamManager({ checkAPI: false })
    const found: Uint8Array[] = []
    for (let from = 1; from < before;) {
      // The API takes `next_by_subj` beside `seq`; the client's type does not know it.
      const query = { seq: from, next_by_subj: subject } as { seq: number }
      const message = await stored.getMessage('COMMANDS', query).catch(absentOr(`cannot look for ${subject}`))
      if (!message || message.seq >= before) break
      found.push(message.data)
      from = message.seq + 1
    }
    return found
  },
})

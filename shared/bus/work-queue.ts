import { setTimeout as delay } from 'node:timers/promises'
import pLimit from 'p-limit'
import { Failure } from '../failure.ts'
import type { Command } from '../contracts/command.ts'
import { patienceMs } from '../patience.ts'
import { encode } from '../wire.ts'
import { consume } from './consume.ts'
import { failureOf } from './failure-of.ts'
import { unlessLost } from './lost-replies.ts'
import { jetstream } from './jetstream.ts'
import type { JsMsg, NatsConnection } from './nats.ts'
import { storedMessages } from './stored-events.ts'

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

/** A command that the work queue still has. */
export interface PendingCommand {
  sequence: number
  time: Date
  messageId: string | undefined
  body: Uint8Array
}

/** How long a receipt is waited for, each time that it is asked for. */
const receiptWithinMs = [5_000, 10_000, 15_000]
/** A server that has just been started says that nobody is there until it has read its streams. */
const askAgainAfterMs = 500

/** Receipts to wait for at once: the server sends those of all that it has read when the disk has the last of them. */
const mostPublishing = 100

/** Far more than the server sends of messages in one answer. */
const mostAtOnce = 10_000

/** The command may have been stored or not: by its message id the server knows it again. */
const isLost = (error: unknown): boolean =>
  error instanceof Failure && ['timeout', 'unavailable'].includes(error.code)

interface Receipt {
  stream: string
  sequence: number
  /** Whether the work queue had it already. */
  duplicate: boolean
}

interface Publication {
  subject: string
  body: unknown
  messageId: string | undefined
}

const publish = async (
  connection: NatsConnection,
  { subject, body, messageId }: Publication,
  timeout: number,
): Promise<Receipt> => {
  const options = { timeout, ...(messageId ? { msgID: messageId } : {}) }
  const published = jetstream(connection).publish(subject, encode(body), options)
  const { stream, seq, duplicate } = await unlessLost(connection, published).catch((error: unknown) => {
    throw failureOf(error, `cannot publish ${subject}`)
  })
  return { stream, sequence: seq, duplicate }
}

const publishPatiently = async (connection: NatsConnection, publication: Publication): Promise<Receipt> => {
  for (let waited = 0; ; waited++) {
    try {
      return await publish(connection, publication, patienceMs(receiptWithinMs[waited] ?? 0))
    } catch (error) {
      // By its message id the server knows a command again that it has stored.
      if (publication.messageId && waited + 1 < receiptWithinMs.length && isLost(error)) {
        await delay(askAgainAfterMs * (waited + 1))
        continue
      }
      if (!(error instanceof Failure) || error.code !== 'timeout') throw error
      // A server that cannot write does not answer.
      const reason = `${error.message}: the bus has not stored it; its disk may be full`
      throw new Failure('timeout', reason, { cause: error })
    }
  }
}

/** Commands, kept until they have their outcome. */
export const workQueue = (connection: NatsConnection) => {
  const publishing = pLimit(mostPublishing)
  return {
    /**
     * Publishes a command; the receipt says that the work queue has it. With a message id it is asked for again when it
     * does not come. Throws `Failure`.
     */
    publishCommand: (
      subject: string,
      body: unknown,
      { messageId }: { messageId?: string } = {},
    ): Promise<Receipt> => publishing(() => publishPatiently(connection, { subject, body, messageId })),

    /** Hands each command of a durable consumer to `handle` at once; the consumer's limit bounds how many. Ends with the signal. */
    consumeCommands: async (durable: string, handle: (command: Command) => void, signal: AbortSignal) => {
      for await (const message of consume(connection, 'COMMANDS', durable, signal))
        handle(commandOf(connection, message))
    },

    /** Commands still in the work queue, those in hand too, up to a sequence; oldest first. Throws `Failure` when that cannot be known. */
    pendingCommands: async (subject: string, before = Infinity): Promise<PendingCommand[]> => {
      const found: PendingCommand[] = []
      try {
        for (let from = 1; ;) {
          const range = { subject, from, batch: mostAtOnce }
          const part = await unlessLost(connection, storedMessages(connection, 'COMMANDS', range))
          for (const { sequence, time, messageId, data } of part)
            if (sequence < before) found.push({ sequence, time: new Date(time), messageId, body: data })
          const last = part.at(-1)
          if (!last || last.pending === 0 || last.sequence >= before) return found
          from = last.sequence + 1
        }
      } catch (error) {
        throw failureOf(error, `cannot look for ${subject}`)
      }
    },
  }
}

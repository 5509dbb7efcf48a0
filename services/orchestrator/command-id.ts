import { createHash } from 'node:crypto'
import { encodeTime, TIME_LEN } from 'ulid'
import type { Command } from '../../shared/contracts/command.ts'

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** A ULID that every delivery of the same command gives: its time in the stream, and a hash for the random part. */
export const idOfCommand = ({
  time,
  sequence,
  messageId,
}: Pick<Command, 'time' | 'sequence' | 'messageId'>): string => {
  const digest = createHash('sha256')
    .update(`${messageId ?? ''}:${sequence}:${time.getTime()}`)
    .digest()
  const rest = [...digest.subarray(0, 16)].map((byte) => alphabet[byte & 31]).join('')
  return encodeTime(time.getTime(), TIME_LEN) + rest
}

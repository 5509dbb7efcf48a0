import { Failure, reasonOf } from '../failure.ts'
import { ErrorCode, NatsError } from './nats.ts'

/** The server's answer to an append whose expected sequence is not the subject's last (JSStreamWrongLastSequenceErrF). */
const wrongLastSequence = new Set([10071, 10164])

/** The `Failure` of anything that the client throws, with what was tried. */
export const failureOf = (error: unknown, what: string): Failure => {
  if (error instanceof Failure) return error
  const code = error instanceof NatsError ? error.code : ''
  const said = error instanceof NatsError ? (error.api_error?.description ?? error.message) : reasonOf(error)
  if (error instanceof NatsError && error.api_error && wrongLastSequence.has(error.api_error.err_code ?? 0))
    return new Failure('stale', `${what}: ${said}`, { cause: error })
  if (code === ErrorCode.Timeout)
    return new Failure('timeout', `${what}: no answer in time`, { cause: error })
  if (code === ErrorCode.PermissionsViolation || code === ErrorCode.AuthorizationViolation)
    return new Failure('not_permitted', `${what}: ${said}`, { cause: error })
  if (code === ErrorCode.MaxPayloadExceeded)
    return new Failure('limit_refused', `${what}: it is larger than a message of the bus`, { cause: error })
  const nobody = code === ErrorCode.NoResponders
  return new Failure('unavailable', `${what}: ${nobody ? 'nobody answers' : said}`, {
    cause: error,
    details: { nobody },
  })
}

import { z } from 'zod'
import { Failure, type FailureCode, failureCodes, reasonOf } from './failure.ts'
import type { TranscriptEntry } from './recorder.ts'
import { keyOf, sentenceOf } from './sentence.ts'

/** What came of a request: the output or the failure, and what was done to the host either way; `plain` replies as it is. */
export type Outcome =
  | { plain: unknown }
  | { output: unknown; transcript: TranscriptEntry[] }
  | { failure: Failure; transcript: TranscriptEntry[] }

/** JSON of a message's body; an empty one is `{}`. Throws `Failure` (`invalid_message`) when it is none. */
export const parseJson = (body: Uint8Array): unknown => {
  try {
    return body.length === 0 ? {} : JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch (error) {
    throw new Failure('invalid_message', `the body is not JSON in UTF-8: ${reasonOf(error)}`, {
      cause: error,
    })
  }
}

export const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))

/** The JSON body of an error reply, beside the `Nats-Service-Error` headers. */
export const ErrorBody = z.object({
  code: z.enum(Object.keys(failureCodes) as [FailureCode, ...FailureCode[]]),
  message: z.string(),
  details: z.record(z.string(), z.unknown()).default({}),
  transcript: z.array(z.custom<TranscriptEntry>()).default([]),
})

/** The JSON body of a reply from a host service. */
const ReplyBody = z.object({
  output: z.unknown(),
  transcript: z.array(z.custom<TranscriptEntry>()).default([]),
})

/** Parses what a request was answered. Throws `Failure` (`unsupported`) that names the key when the schema does not know it. */
export const parseAnswer = <S extends z.ZodType>(
  schema: S,
  answer: unknown,
  subject: string,
): z.output<S> => {
  const parsed = schema.safeParse(answer)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const where = issue?.path.length ? `${issue.path.join('.')}: ` : ''
  throw new Failure('unsupported', `cannot read the answer of ${subject}: ${where}${issue?.message}`)
}

/** Parses the reply of a host service whose output has a schema. Throws as `parseAnswer` does. */
export const parseReply = <S extends z.ZodType>(schema: S, reply: unknown, subject: string) => {
  const { output, transcript } = parseAnswer(ReplyBody, reply, subject)
  return { output: parseAnswer(schema, output, subject), transcript }
}

/** A sentence may quote what was sent. */
const mostSentence = 1000

/** Parses with a schema; throws `Failure` (`invalid_message`) that names the key and what would be right. */
export const parseInput = <S extends z.ZodType>(schema: S, body: unknown): z.output<S> => {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const { issues } = parsed.error
  const sentences = issues.slice(0, 5).map((issue) => sentenceOf(issue, schema, body).slice(0, mostSentence))
  throw new Failure('invalid_message', sentences.join('; '), {
    details: { key: issues[0] && keyOf(issues[0]) },
  })
}

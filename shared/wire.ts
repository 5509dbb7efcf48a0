import { z } from 'zod'
import { Failure, type FailureCode, failureCodes, reasonOf } from './failure.ts'
import type { TranscriptEntry } from './recorder.ts'

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
export const ReplyBody = z.object({
  output: z.unknown(),
  transcript: z.array(z.custom<TranscriptEntry>()).default([]),
})

const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(
        Math.min(
          (row[j] ?? 0) + 1,
          (next[j - 1] ?? 0) + 1,
          (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1),
        ),
      )
    }
    row = next
  }
  return row.at(-1) ?? 0
}

/** The candidate within a third of the word's length in edits, for "did you mean". */
export const nearest = (word: string, candidates: readonly string[]): string | undefined =>
  candidates
    .map((candidate) => ({ candidate, edits: distance(word.slice(0, 64), candidate) }))
    .filter(({ candidate, edits }) => edits <= Math.max(1, Math.ceil(candidate.length / 3)))
    .toSorted((a, b) => a.edits - b.edits)[0]?.candidate

const keysOf = (schema: z.ZodType): string[] =>
  schema instanceof z.ZodObject ? Object.keys(schema.shape) : []

const sentenceOf = (issue: z.core.$ZodIssue, schema: z.ZodType): string => {
  const where = issue.path.length > 0 ? issue.path.join('.') : 'the message'
  if (issue.code !== 'unrecognized_keys') return `${where}: ${issue.message}`
  const [key = ''] = issue.keys
  const known = nearest(key, issue.path.length === 0 ? keysOf(schema) : [])
  return `unknown key "${key.slice(0, 64)}"${issue.path.length > 0 ? ` in ${where}` : ''}${known ? `, did you mean "${known}"?` : ''}`
}

/** Parses with a schema; throws `Failure` (`invalid_message`) that names the key and what would be right. */
export const parseInput = <S extends z.ZodType>(schema: S, body: unknown): z.output<S> => {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const sentences = parsed.error.issues.slice(0, 5).map((issue) => sentenceOf(issue, schema))
  throw new Failure('invalid_message', sentences.join('; '), {
    details: { key: parsed.error.issues[0]?.path.join('.') },
  })
}

import { z } from 'zod'
import { nearest } from './nearest.ts'

const keysOf = (schema: z.ZodType): string[] =>
  schema instanceof z.ZodObject ? Object.keys(schema.shape) : []

const nouns: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  null: 'null',
}

/** The type errors of a union's branches as one, or the error of the branch whose type was right. */
const unionIssue = (issue: z.core.$ZodIssueInvalidUnion): z.core.$ZodIssue | string[] => {
  const firsts = issue.errors.flatMap((branch) => branch.slice(0, 1))
  const closer = firsts.find(({ code, path }) => code !== 'invalid_type' || path.length > 0)
  if (closer) return { ...closer, path: [...issue.path, ...closer.path] }
  return firsts.flatMap((first) => (first.code === 'invalid_type' ? [first.expected] : []))
}

const mustBe = (expected: readonly string[], missing: boolean): string => {
  const wanted = [...new Set(expected.map((type) => nouns[type] ?? type))].join(' or ')
  return missing ? `is missing, must be ${wanted}` : `must be ${wanted}`
}

const mostKey = 200

/** Where an issue is, as `deploy.resources`; cut, since keys are the sender's. */
export const keyOf = ({ path }: z.core.$ZodIssue): string => {
  const key = path.join('.')
  return key.length > mostKey ? `${key.slice(0, mostKey)}…` : key
}

/** What is wrong with a message, where, and what would be right. */
export const sentenceOf = (issue: z.core.$ZodIssue, schema: z.ZodType, body: unknown): string => {
  const where = issue.path.length > 0 ? keyOf(issue) : 'the message'
  const found = issue.path.reduce<unknown>(
    (value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key],
    body,
  )
  if (issue.code === 'invalid_type') return `${where}: ${mustBe([issue.expected], found === undefined)}`
  if (issue.code === 'invalid_union') {
    const closer = unionIssue(issue)
    return Array.isArray(closer)
      ? `${where}: ${mustBe(closer, found === undefined)}`
      : sentenceOf(closer, schema, body)
  }
  if (issue.code !== 'unrecognized_keys') return `${where}: ${issue.message}`
  const key = (issue.keys[0] ?? '').slice(0, 64)
  const known = nearest(key, issue.path.length === 0 ? keysOf(schema) : [])
  return `unknown key "${key}"${issue.path.length > 0 ? ` in ${where}` : ''}${known ? `, did you mean "${known}"?` : ''}`
}

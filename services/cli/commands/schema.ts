import type { Command } from 'commander'
import { z } from 'zod'
import { publicMessages } from '../../../shared/contracts/verbs.ts'
import { Failure } from '../../../shared/failure.ts'
import { nearest } from '../../../shared/nearest.ts'
import { printJson, printLine } from '../output/print.ts'

const schemaOf = (schema: z.ZodType) => z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })

const schemaNamed = (subject: string) => {
  const schema = publicMessages[subject]
  if (schema) return { title: subject, ...schemaOf(schema) }
  const known = nearest(subject, Object.keys(publicMessages))
  throw new Failure(
    'not_found',
    `cannot find a message "${subject}"${known ? `, did you mean "${known}"?` : ': see "dolly schema"'}`,
  )
}

const printSchema = (subject: string | undefined, { json }: { json?: boolean }): void => {
  const subjects = Object.keys(publicMessages).toSorted()
  if (subject !== undefined) return printJson(schemaNamed(subject))
  if (json) return printJson(Object.fromEntries(subjects.map((name) => [name, schemaNamed(name)])))
  subjects.forEach(printLine)
}

export const configure = (command: Command): void => {
  command
    .argument('[subject]', 'as container.create; without it, the subjects are listed')
    .option('--json', 'print the schemas of all subjects')
    .action(printSchema)
}

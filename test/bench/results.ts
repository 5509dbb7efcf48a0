import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

const Series = z.object({
  runs: z.number(),
  min: z.number(),
  median: z.number(),
  p90: z.number(),
  p99: z.number(),
  max: z.number(),
  mean: z.number(),
})

/** What one run of the bench leaves behind; milliseconds. */
export const Results = z.object({
  date: z.string(),
  kind: z.enum(['full', 'quick']),
  machine: z.object({
    processors: z.number(),
    model: z.string(),
    memoryGiB: z.number(),
    kernel: z.string(),
    node: z.string(),
    /** Load averages when it ended, its own work included. */
    load: z.array(z.number()),
  }),
  launchers: z.array(
    z.object({
      name: z.string(),
      version: z.string(),
      note: z.string(),
      create: Series,
      remove: Series,
      /** Of `true` in a container that runs. */
      exec: Series.optional(),
      /** `run --rm IMAGE true`, the whole command line. */
      runOnce: Series.optional(),
    }),
  ),
  skipped: z.array(z.object({ name: z.string(), reason: z.string() })),
  /** Many clients at once, Dolly only. */
  burst: z.object({
    clients: z.number(),
    containers: z.number(),
    createsPerSecond: z.number(),
    deletesPerSecond: z.number(),
    /** Of each time; the figures above are their medians. */
    creates: z.array(z.number()).default([]),
    deletes: z.array(z.number()).default([]),
  }),
  scale: z
    .object({
      few: z.number(),
      many: z.number(),
      /** Medians of creates one at a time. */
      createWithFew: z.number(),
      createWithMany: z.number(),
      mebibytesPerContainer: z.number(),
      /** The same of other launchers, with fewer containers. */
      peers: z.array(z.object({ name: z.string(), containers: z.number(), mebibytes: z.number() })),
      servicesMiB: z.number(),
      servicesMiBWithMany: z.number(),
      /** Of one processor, all services together. */
      restPercent: z.number(),
      restPercentWithMany: z.number(),
      atOnce: z.number(),
      deleteAtOnceMs: z.number(),
    })
    .optional(),
  /** Creates published all at once. */
  queue: z
    .object({
      containers: z.number(),
      answered: z.number(),
      createsPerSecond: z.number(),
      mostOutOfOrder: z.number(),
      mostWaiting: z.number(),
      mostPlaces: z.number(),
      /** Of `container.list`, within five seconds. */
      listsUnanswered: z.number(),
      servicesMiB: z.number(),
      servicesMostMiB: z.number(),
    })
    .optional(),
  profile: z.array(z.object({ what: z.string(), times: z.number(), ms: z.number() })),
})
export type Results = z.infer<typeof Results>

const directory = join(import.meta.dirname, 'results')
const pattern = /^\d{4}-\d{2}-\d{2}T.*\.json$/

/** The newest results of this kind of run that are there, or undefined. */
export const lastResults = async (kind: Results['kind']): Promise<Results | undefined> => {
  const files = await readdir(directory).catch(() => [])
  for (const file of files
    .filter((name) => pattern.test(name))
    .toSorted()
    .toReversed()) {
    const results = Results.parse(JSON.parse(await readFile(join(directory, file), 'utf8')))
    if (results.kind === kind) return results
  }
  return undefined
}

/** Writes the figures, their table and their plot under one name; answers it. */
export const writeResults = async (results: Results, table: string, plot: string): Promise<string> => {
  await mkdir(directory, { recursive: true })
  const name = join(directory, `${results.date.replaceAll(':', '').slice(0, 17)}-${results.kind}`)
  await writeFile(`${name}.json`, `${JSON.stringify(results, undefined, 2)}\n`)
  await writeFile(`${name}.md`, table)
  await writeFile(`${name}.svg`, plot)
  return name
}

import { ulid } from 'ulid'
import type { DollyClient } from './dolly-client.ts'
import { percentile } from './statistics.ts'

/** Runs the work for each id with this many under way; answers how many a second were done. */
export const rate = async (
  ids: readonly string[],
  clients: number,
  work: (id: string) => Promise<unknown>,
) => {
  const left = [...ids]
  const start = performance.now()
  const one = async () => {
    for (let id = left.pop(); id !== undefined; id = left.pop()) await work(id)
  }
  await Promise.all(Array.from({ length: clients }, one))
  return ids.length / ((performance.now() - start) / 1000)
}

/** Creates containers with many clients at once, until all run, then deletes them the same way; each time anew. */
export const burst = async (client: DollyClient, containers: number, { times = 1, clients = 32 } = {}) => {
  const [creates, deletes]: [number[], number[]] = [[], []]
  for (let run = 0; run < times; run++) {
    const ids = Array.from({ length: containers }, () => ulid())
    creates.push(await rate(ids, clients, (id) => client.create({ id })))
    deletes.push(await rate(ids, clients, client.remove))
  }
  const [createsPerSecond, deletesPerSecond] = [percentile(creates, 0.5), percentile(deletes, 0.5)]
  return { clients, containers, createsPerSecond, deletesPerSecond, creates, deletes }
}

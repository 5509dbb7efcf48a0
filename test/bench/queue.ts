import { setInterval } from 'node:timers/promises'
import { ulid } from 'ulid'
import { askPages } from '../../services/cli/commands/bus/ask.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import type { Config } from '../../shared/config.ts'
import { Failure } from '../../shared/failure.ts'
import { rate } from './burst.ts'
import type { DollyClient } from './dolly-client.ts'
import { residentMiB } from './stack-processes.ts'

const sampleMs = 1000
const listWithinMs = 5000

/** The farthest that something came out of the order in which it was sent, in places. */
const mostOutOfOrder = (sent: readonly string[], served: readonly string[]): number => {
  const place = new Map(sent.map((id, index) => [id, index]))
  return Math.max(...served.map((id, index) => Math.abs(index - (place.get(id) ?? Number.NaN))))
}

/** Sends creates all at once: how they are served, what the list shows of those that wait, and what memory it takes. */
export const queue = async (client: DollyClient, config: Config, containers: number) => {
  const ids = Array.from({ length: containers }, () => ulid())
  const before = await residentMiB(config)
  let most = before
  let waiting = 0
  let withPlace = 0
  let unanswered = 0
  const done = new AbortController()
  const watch = async (): Promise<void> => {
    for await (const _ of setInterval(sampleMs, undefined, { signal: done.signal })) {
      most = Math.max(most, await residentMiB(config))
      const pages = await askPages(
        client.bus,
        verbs.containerList,
        { all: true },
        { timeoutMs: listWithinMs },
      ).catch((error: unknown) => {
        if (!(error instanceof Failure) || error.code !== 'timeout') throw error
        return undefined
      })
      if (pages === undefined) {
        unanswered += 1
        continue
      }
      const queued = pages.flatMap(({ containers: all }) => all.filter((container) => container.queue))
      waiting = Math.max(waiting, queued.length)
      withPlace = Math.max(withPlace, new Set(queued.map((container) => container.queue?.place)).size)
    }
  }
  const served: string[] = []
  const start = performance.now()
  // However one of them ends, all are over when this is: whoever takes the stack down would meet the others.
  const serving = Promise.allSettled(
    ids.map((id) => client.create({ id }, { withinMs: 300_000 }).then(() => served.push(id))),
  ).then((all) => {
    const failed = all.find((one) => one.status === 'rejected')
    if (failed) throw failed.reason
    return (performance.now() - start) / 1000
  })
  const watched = watch().catch((error: unknown) => {
    if (!done.signal.aborted) throw error
  })
  const [seconds] = await Promise.all([serving.finally(() => done.abort()), watched])
  await rate(ids, 32, client.remove)
  return {
    containers,
    answered: served.length,
    createsPerSecond: containers / seconds,
    mostOutOfOrder: mostOutOfOrder(ids, served),
    mostWaiting: waiting,
    mostPlaces: withPlace,
    listsUnanswered: unanswered,
    servicesMiB: before,
    servicesMostMiB: most,
  }
}

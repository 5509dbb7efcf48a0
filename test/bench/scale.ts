import { setTimeout as delay } from 'node:timers/promises'
import { ulid } from 'ulid'
import type { Config } from '../../shared/config.ts'
import { rate } from './burst.ts'
import type { DollyClient } from './dolly-client.ts'
import type { Launcher } from './launcher.ts'
import { availableMiB, cpuSeconds, residentMiB } from './stack-processes.ts'
import { percentile } from './statistics.ts'

const clients = 32
const settleMs = 3000
const restMs = 60_000

const newIds = (count: number): string[] => Array.from({ length: count }, () => ulid())

/** The median of creates one at a time, each deleted at once, in milliseconds. */
const medianCreate = async (client: DollyClient, samples: number): Promise<number> => {
  const times: number[] = []
  for (const id of newIds(samples)) {
    times.push(await client.create({ id }))
    await client.remove(id)
  }
  return percentile(times, 0.5)
}

const settledMemory = async (): Promise<number> => {
  await delay(settleMs)
  return availableMiB()
}

/** Share of one processor that a stack uses while nobody asks it for anything, in per cent. */
const restPercent = async (config: Config): Promise<number> => {
  const before = await cpuSeconds(config)
  await delay(restMs)
  return ((await cpuSeconds(config)) - before) / (restMs / 1000) / 0.01
}

/** What a launch, an idle container and rest cost with few containers running and with many, and deletes all at once. */
export const scale = async (
  client: DollyClient,
  config: Config,
  { few, many, samples, atOnce }: { few: number; many: number; samples: number; atOnce: number },
) => {
  await delay(settleMs)
  const restEmpty = await restPercent(config)
  const ids = newIds(many)
  await rate(ids.slice(0, few), clients, (id) => client.create({ id }))
  const createWithFew = await medianCreate(client, samples)
  const [free, services] = [await settledMemory(), await residentMiB(config)]
  await rate(ids.slice(few), clients, (id) => client.create({ id }))
  const perContainer = (free - (await settledMemory())) / (many - few)
  const servicesMany = await residentMiB(config)
  const createWithMany = await medianCreate(client, samples)
  const restMany = await restPercent(config)
  const start = performance.now()
  await Promise.all(ids.slice(0, atOnce).map((id) => client.remove(id)))
  const deleteAtOnce = performance.now() - start
  await rate(ids.slice(atOnce), clients, client.remove)
  return {
    few,
    many,
    atOnce,
    createWithFew,
    createWithMany,
    mebibytesPerContainer: perContainer,
    servicesMiB: services,
    servicesMiBWithMany: servicesMany,
    restPercent: restEmpty,
    restPercentWithMany: restMany,
    deleteAtOnceMs: deleteAtOnce,
  }
}

/** What an idle container of a launcher costs the machine, in MiB: of this many, all told. */
export const mebibytesPerContainer = async (launcher: Launcher, count: number): Promise<number> => {
  const before = await settledMemory()
  const ids = newIds(count)
  await rate(ids, 4, (id) => launcher.create(id))
  const used = before - (await settledMemory())
  await rate(ids, 4, (id) => launcher.remove(id))
  return used / count
}

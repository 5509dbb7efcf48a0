import type { Bus } from '../../shared/bus.ts'
import { SagaRecord } from '../../shared/contracts/journal.ts'
import { mean } from './statistics.ts'

/** Where one kind of work takes its time, over many launches. */
export interface ProfileLine {
  what: string
  /** How often a launch does it, on average. */
  times: number
  /** Milliseconds of one launch, on average. */
  ms: number
}

/** The profiles of many launches, from what their logs say. */
export interface Profile {
  steps: ProfileLine[]
  work: ProfileLine[]
}

/** Everything that differs between two containers, taken out: ids, addresses, pids. */
const alike = (id: string, equivalent: string): string =>
  equivalent
    .replaceAll(id, '<id>')
    .replaceAll(/\/ready\/\w+(?:\/\w+)?/g, '/ready/<ready>')
    .replaceAll(/sha256:[0-9a-f]+/g, '<digest>')
    .replaceAll(/\b\d+\.\d+\.\d+\.\d+\b/g, '<address>')
    .replaceAll(/\/proc\/\d+/g, '/proc/<pid>')
    .replaceAll(/netns \d+/g, 'netns <pid>')
    .replaceAll(/\b(?:dev|name) dv\w+/g, 'dev <veth>')
    .slice(0, 100)

type Totals = Map<string, { times: number; ms: number[] }>

const add = (totals: Totals, what: string, ms: number, launch: number): void => {
  const total = totals.get(what) ?? { times: 0, ms: [] }
  total.times += 1
  total.ms[launch] = (total.ms[launch] ?? 0) + ms
  totals.set(what, total)
}

const lines = (totals: Totals, launches: number): ProfileLine[] =>
  [...totals]
    .map(([what, { times, ms }]) => ({
      what,
      times: times / launches,
      ms: mean(Array.from({ length: launches }, (_, launch) => ms[launch] ?? 0)),
    }))
    .toSorted((a, b) => b.ms - a.ms)

/** Adds up what the logs of these containers say of each step, and of each call and command in it. */
export const profileOf = async (bus: Bus, ids: readonly string[]): Promise<Profile> => {
  const steps: Totals = new Map()
  const work: Totals = new Map()
  for (const [launch, id] of ids.entries()) {
    for (const { event } of await bus.journal('container', id)) {
      const record = SagaRecord.safeParse(event?.data['record']).data
      for (const transition of record && 'transitions' in record ? record.transitions : []) {
        if (!('durationMs' in transition)) continue
        const step = `${transition.step} ${transition.status}`
        add(steps, step, transition.durationMs ?? 0, launch)
        for (const { equivalent, durationMs, ahead } of transition.transcript ?? [])
          add(work, `${step}${ahead ? ', ahead' : ''}: ${alike(id, equivalent)}`, durationMs, launch)
      }
    }
  }
  return { steps: lines(steps, ids.length), work: lines(work, ids.length) }
}

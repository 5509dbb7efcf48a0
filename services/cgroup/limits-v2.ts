import type { Resources } from '../../shared/contracts/oci.ts'
import { type HasFile, asked } from './asked.ts'
import type { Hierarchy } from './hierarchies.ts'
import { type Asked, type Limit, bytes, checkedList, exactly, refuse, sameList } from './limit.ts'
import type { Throttle } from './throttle.ts'
import { blockWeightRange, cpuWeight, ioWeight, sharesRange } from './weight.ts'

type Entry = Omit<Limit, 'hierarchy'>

const defaultPeriod = 100_000

const within = ({ min, max }: { min: number; max: number }, wanted: Asked, value: number): number =>
  value >= min && value <= max ? value : refuse(wanted, value, 'it is out of range')

const exact = (wanted: Asked, file: string, value: string): Entry => ({
  ...wanted,
  file,
  value,
  verify: exactly(value),
})

const size = (wanted: Asked, file: string, value: number): Entry => ({
  ...wanted,
  file,
  value: value < 0 ? 'max' : String(value),
  verify: bytes(value),
})

/** Quota and period are one file here, so a refusal names the one that is out of its range. */
const cpu = ({ shares, period, quota }: Resources['cpu']): Entry[] => {
  const weights = shares
    ? [exact(asked.shares, 'cpu.weight', String(cpuWeight(within(sharesRange, asked.shares, shares))))]
    : []
  if (!quota && !period) return weights
  if (period) within({ min: 1000, max: 1_000_000 }, asked.period, period)
  const budget = !quota || quota < 0 ? 'max' : String(quota)
  return [...weights, exact(asked.quota, 'cpu.max', `${budget} ${period ?? defaultPeriod}`)]
}

const cpuset = ({ cpus }: Resources['cpu']): Entry[] =>
  cpus
    ? [{ ...asked.cpus, file: 'cpuset.cpus', value: checkedList(asked.cpus, cpus), verify: sameList(cpus) }]
    : []

/** v2 limits swap by itself; OCI's value counts memory and swap together. */
const swapAlone = ({ limit, swap = 0 }: Resources['memory']): number => {
  if (swap < 0) return -1
  if (!limit || limit < 0 || swap < limit) return refuse(asked.swap, swap, `memory.limit is ${limit ?? -1}`)
  return swap - limit
}

const memory = (wanted: Resources['memory'], hasSwap: boolean): Entry[] => {
  const { limit, swap, reservation } = wanted
  const entries = [
    ...(limit ? [size(asked.memory, 'memory.max', limit)] : []),
    ...(reservation ? [size(asked.reservation, 'memory.low', reservation)] : []),
  ]
  if (!swap) return entries
  const alone = swapAlone(wanted)
  if (hasSwap) return [...entries, size(asked.swap, 'memory.swap.max', alone)]
  // Unlimited is what a kernel without swap accounting gives anyway.
  return alone < 0
    ? entries
    : refuse(asked.swap, swap, 'the kernel does not account swap, boot it with swapaccount=1')
}

const pids = ({ limit }: Resources['pids']): Entry[] =>
  limit ? [exact(asked.pids, 'pids.max', limit < 0 ? 'max' : String(limit))] : []

const weightOf = (weight: number, has: (file: string) => boolean): Entry => {
  within(blockWeightRange, asked.weight, weight)
  if (has('io.weight')) {
    const value = `default ${ioWeight(weight)}`
    return {
      ...asked.weight,
      file: 'io.weight',
      value,
      verify: (readBack) => readBack.split('\n').includes(value),
    }
  }
  if (!has('io.bfq.weight'))
    return refuse(asked.weight, weight, 'this host has no I/O scheduler with weights (bfq)')
  // bfq keeps the scale of v1, and shows its number alone or after "default".
  return {
    ...asked.weight,
    file: 'io.bfq.weight',
    value: String(weight),
    verify: (readBack) => readBack.replace('default ', '').split('\n').includes(String(weight)),
  }
}

const rateEntry = (device: string, throttles: readonly Throttle[]): Entry => {
  const words = throttles.map(({ v2Word, rate }) => `${v2Word}=${rate}`)
  return {
    ...asked.throttle,
    file: 'io.max',
    value: [device, ...words].join(' '),
    verify: (readBack) => {
      const line = readBack.split('\n').find((candidate) => candidate.startsWith(`${device} `))
      return line !== undefined && words.every((word) => line.split(' ').includes(word))
    },
  }
}

const io = (
  { weight }: Resources['blockIO'],
  throttles: readonly Throttle[],
  has: (file: string) => boolean,
): Entry[] => [
  ...(weight ? [weightOf(weight, has)] : []),
  ...Object.entries(Object.groupBy(throttles, ({ device }) => device)).map(([device, rates]) =>
    rateEntry(device, rates ?? []),
  ),
]

/** What the v2 tree is told, translated from the v1 values that OCI names. */
export const limitsV2 = (
  { directory, controllers }: Hierarchy,
  resources: Resources,
  { throttles, hasFile }: { throttles: readonly Throttle[]; hasFile: HasFile },
): Limit[] => {
  const has = (file: string) => hasFile(directory, file)
  const entriesOf: Record<string, () => Entry[]> = {
    cpu: () => cpu(resources.cpu),
    cpuset: () => cpuset(resources.cpu),
    memory: () => memory(resources.memory, has('memory.swap.max')),
    pids: () => pids(resources.pids),
    io: () => io(resources.blockIO, throttles, has),
  }
  return controllers
    .flatMap((controller) => entriesOf[controller]?.() ?? [])
    .map((entry) => ({ hierarchy: directory, ...entry }))
}

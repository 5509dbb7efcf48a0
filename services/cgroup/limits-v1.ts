import type { Resources } from '../../shared/contracts/oci.ts'
import { type HasFile, asked } from './asked.ts'
import type { Hierarchy } from './hierarchies.ts'
import { type Asked, type Limit, bytes, checkedList, exactly, hasLine, refuse, sameList } from './limit.ts'
import type { Throttle } from './throttle.ts'

type Entry = Omit<Limit, 'hierarchy'>

/** A number that the kernel keeps as it is; any negative one means unlimited. */
const number = (wanted: Asked, file: string, value: number): Entry => {
  const text = String(Math.max(value, -1))
  return { ...wanted, file, value: text, verify: exactly(text) }
}

const size = (wanted: Asked, file: string, value: number): Entry => ({
  ...wanted,
  file,
  value: String(Math.max(value, -1)),
  verify: bytes(value),
})

/** The period comes first: the kernel judges a quota against the period it has at that moment. */
const cpu = ({ shares, period, quota }: Resources['cpu']): Entry[] => [
  ...(shares ? [number(asked.shares, 'cpu.shares', shares)] : []),
  ...(period ? [number(asked.period, 'cpu.cfs_period_us', period)] : []),
  ...(quota ? [number(asked.quota, 'cpu.cfs_quota_us', quota)] : []),
]

const cpuset = ({ cpus }: Resources['cpu']): Entry[] =>
  cpus
    ? [{ ...asked.cpus, file: 'cpuset.cpus', value: checkedList(asked.cpus, cpus), verify: sameList(cpus) }]
    : []

const swapFile = 'memory.memsw.limit_in_bytes'

/** Memory before swap: `memsw` may never be below the memory limit, and begins unlimited. */
const memory = ({ limit, swap, reservation }: Resources['memory'], hasSwap: boolean): Entry[] => {
  const entries = [
    ...(limit ? [size(asked.memory, 'memory.limit_in_bytes', limit)] : []),
    ...(reservation ? [size(asked.reservation, 'memory.soft_limit_in_bytes', reservation)] : []),
  ]
  if (!swap) return entries
  if (!hasSwap) {
    // Unlimited is what a kernel without swap accounting gives anyway.
    return swap < 0
      ? entries
      : refuse(asked.swap, swap, 'the kernel does not account swap, boot it with swapaccount=1')
  }
  if (swap > 0 && (!limit || limit < 0 || swap < limit))
    return refuse(asked.swap, swap, `memory.limit is ${limit ?? -1}`)
  return [...entries, size(asked.swap, swapFile, swap)]
}

const pids = ({ limit }: Resources['pids']): Entry[] => {
  if (!limit) return []
  const value = limit < 0 ? 'max' : String(limit)
  return [{ ...asked.pids, file: 'pids.max', value, verify: exactly(value) }]
}

const weightFiles = ['blkio.weight', 'blkio.bfq.weight']

const blkio = (
  { weight }: Resources['blockIO'],
  throttles: readonly Throttle[],
  has: (file: string) => boolean,
): Entry[] => {
  const file = weightFiles.find(has)
  const weights = !weight
    ? []
    : file
      ? [number(asked.weight, file, weight)]
      : refuse(asked.weight, weight, 'this host has no I/O scheduler with weights (bfq)')
  const rates = throttles.map(({ v1File, device, rate }) => {
    const value = `${device} ${rate}`
    return { ...asked.throttle, file: v1File, value, verify: hasLine(value) }
  })
  return [...weights, ...rates]
}

/** What the v1 controllers of one hierarchy are told. */
export const limitsV1 = (
  { directory, controllers }: Hierarchy,
  resources: Resources,
  { throttles, hasFile }: { throttles: readonly Throttle[]; hasFile: HasFile },
): Limit[] => {
  const has = (file: string) => hasFile(directory, file)
  const entriesOf: Record<string, () => Entry[]> = {
    cpu: () => cpu(resources.cpu),
    cpuset: () => cpuset(resources.cpu),
    memory: () => memory(resources.memory, has(swapFile)),
    pids: () => pids(resources.pids),
    blkio: () => blkio(resources.blockIO, throttles, has),
  }
  return controllers
    .flatMap((controller) => entriesOf[controller]?.() ?? [])
    .map((entry) => ({ hierarchy: directory, ...entry }))
}

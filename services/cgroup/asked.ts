import { availableParallelism } from 'node:os'
import type { Asked } from './limit.ts'
import { blockWeightRange, sharesRange } from './weight.ts'

const processors = availableParallelism()

/** Every limit under its OCI name, with what the kernel takes for it. */
export const asked = {
  shares: { key: 'cpu.shares', allowed: `${sharesRange.min} to ${sharesRange.max}` },
  period: { key: 'cpu.period', allowed: '1000 to 1000000 microseconds' },
  quota: { key: 'cpu.quota', allowed: '1000 microseconds or more, or -1 for unlimited' },
  cpus: { key: 'cpu.cpus', allowed: `a list out of 0-${processors - 1}, as "0,2-3"` },
  memory: { key: 'memory.limit', allowed: 'bytes, one page or more, or -1 for unlimited' },
  swap: {
    key: 'memory.swap',
    allowed: 'bytes of memory and swap together, not less than memory.limit, or -1',
  },
  reservation: { key: 'memory.reservation', allowed: 'bytes, or -1 for unlimited' },
  pids: { key: 'pids.limit', allowed: '1 to 4194304, or -1 for unlimited' },
  weight: { key: 'blockIO.weight', allowed: `${blockWeightRange.min} to ${blockWeightRange.max}` },
  throttle: { key: 'blockIO.throttle', allowed: 'a whole block device and a rate of 1 or more' },
} as const satisfies Record<string, Asked>

/** Whether a controller's optional file exists below a hierarchy: swap accounting, I/O weights. */
export type HasFile = (hierarchy: string, file: string) => boolean

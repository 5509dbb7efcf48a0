import { stat } from 'node:fs/promises'
import type { Resources } from '../../shared/contracts/oci.ts'
import { errnoOf, reasonOf } from '../../shared/failure.ts'
import { asked } from './asked.ts'
import { refuse } from './limit.ts'

/** A rate on one block device: v1 has a file per kind, v2 a word in `io.max`. */
export interface Throttle {
  device: string
  v1File: string
  v2Word: string
  rate: number
}

const kinds = {
  throttleReadBpsDevice: { v1File: 'blkio.throttle.read_bps_device', v2Word: 'rbps' },
  throttleWriteBpsDevice: { v1File: 'blkio.throttle.write_bps_device', v2Word: 'wbps' },
  throttleReadIOPSDevice: { v1File: 'blkio.throttle.read_iops_device', v2Word: 'riops' },
  throttleWriteIOPSDevice: { v1File: 'blkio.throttle.write_iops_device', v2Word: 'wiops' },
} as const

/** `major:minor` out of a device number, in glibc's 64-bit layout (makedev(3)). */
export const deviceNumber = (rdev: number): string => {
  const wide = BigInt(rdev)
  const major = ((wide >> 8n) & 0xfffn) | ((wide >> 32n) & ~0xfffn)
  const minor = (wide & 0xffn) | ((wide >> 12n) & ~0xffn)
  return `${major}:${minor}`
}

const blockDevice = async (path: string): Promise<string> => {
  try {
    const { rdev, isBlockDevice } = await stat(path).then((stats) => ({
      rdev: stats.rdev,
      isBlockDevice: stats.isBlockDevice(),
    }))
    return isBlockDevice ? deviceNumber(rdev) : refuse(asked.throttle, path, 'it is not a block device')
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return refuse(asked.throttle, path, reasonOf(error), error)
  }
}

/** The asked rates with their device numbers. Throws `Failure` (`limit_refused`) for what is no block device. */
export const throttlesOf = async (blockIO: Resources['blockIO']): Promise<Throttle[]> => {
  const wanted = Object.entries(kinds).flatMap(([key, files]) =>
    (blockIO[key as keyof typeof kinds] ?? []).map(({ path, rate }) => ({ path, rate, ...files })),
  )
  return Promise.all(wanted.map(async ({ path, ...rest }) => ({ device: await blockDevice(path), ...rest })))
}

import { statfsSync } from 'node:fs'
import type { Config } from '../../shared/config.ts'
import { Failure } from '../../shared/failure.ts'

const mebibyte = 2 ** 20

/** Below this a container could not even write its first file. */
const leastInside = 16 * mebibyte
/** For logs, bundles and the event log, and so that an image file that could only be sparse can still grow. */
const leastOnHost = 64 * mebibyte

/** Bytes as people say them. */
export const humanSize = (bytes: number): string =>
  bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.floor(bytes / mebibyte)} MiB`

/** Bytes that an ordinary user could still write below the path. */
export const freeBytes = (path: string): number => {
  const { bavail, bsize } = statfsSync(path)
  return bavail * bsize
}

const check = (path: string, { least, purpose }: { least: number; purpose: string }): void => {
  const free = freeBytes(path)
  if (free >= least) return
  throw new Failure(
    'no_space',
    `cannot ${purpose}: ${humanSize(free)} left in ${path}, ${humanSize(least)} needed`,
    {
      details: { path, freeBytes: free, neededBytes: least },
    },
  )
}

/** Throws `Failure` (`no_space`) when the host has hardly space left for its own. */
export const requireHostSpace = (root: string, purpose: string): void =>
  check(root, { least: leastOnHost, purpose })

/** Throws `Failure` (`no_space`) with what is left when the copy-on-write file system or the host below it is full. */
export const requireSpace = ({ names, root, cowfsDirectory }: Config, purpose: string): void => {
  check(names.cowfs, { least: leastInside, purpose })
  if (!cowfsDirectory) requireHostSpace(root, purpose)
}

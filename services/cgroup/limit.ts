import { Failure } from '../../shared/failure.ts'

/** One value for one kernel file of a container's cgroup. */
export interface Limit {
  /** The cgroup root of the hierarchy that has the file. */
  hierarchy: string
  file: string
  value: string
  /** The OCI name of what is limited, for the message when the kernel refuses. */
  key: string
  /** What the kernel takes, in words. */
  allowed: string
  /** Whether what the kernel shows afterwards is what was asked for. */
  verify: (readBack: string) => boolean
}

/** What the caller asked for under an OCI name, and what may be asked for. */
export interface Asked {
  key: string
  allowed: string
}

/** Larger than any page size Linux has: the kernel rounds memory down to whole pages. */
const largestPageBytes = 65_536
const v1Unlimited = 2 ** 62

/** Read-back of a number that the kernel keeps as it is. */
export const exactly =
  (value: string) =>
  (readBack: string): boolean =>
    readBack === value

/** Read-back of bytes, which are rounded down to pages; unlimited reads as `max` on v2 and as a huge number on v1. */
export const bytes =
  (value: number) =>
  (readBack: string): boolean => {
    if (value < 0) return readBack === 'max' || Number(readBack) > v1Unlimited
    const kept = Number(readBack)
    return kept <= value && value - kept < largestPageBytes && (kept > 0 || value === 0)
  }

const numbersIn = (list: string): string => {
  const numbers = list.split(',').flatMap((part) => {
    const [first = Number.NaN, last = first] = part.trim().split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
  return [...new Set(numbers)].toSorted((a, b) => a - b).join(',')
}

/** Read-back of a list of CPUs or memory nodes: `0,1` and `0-1` are the same. */
export const sameList =
  (value: string) =>
  (readBack: string): boolean =>
    readBack !== '' && numbersIn(readBack) === numbersIn(value)

/** Read-back of a file with a line per device. */
export const hasLine =
  (line: string) =>
  (readBack: string): boolean =>
    readBack.split('\n').includes(line)

/** Throws `limit_refused` in the words every refusal has. */
export const refuse = (
  { key, allowed }: Asked,
  value: string | number,
  reason: string,
  cause?: unknown,
): never => {
  throw new Failure('limit_refused', `cannot set ${key} to ${value}: ${reason}; allowed: ${allowed}`, {
    details: { key, value, allowed },
    cause,
  })
}

const listPattern = /^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$/

/** Refuses what is no list of CPUs or nodes before its read-back is expanded. */
export const checkedList = (asked: Asked, value: string): string =>
  listPattern.test(value) ? value : refuse(asked, `"${value}"`, 'it is no list of numbers and ranges')

import { readFileSync, readdirSync } from 'node:fs'
import { errnoOf } from '../../shared/failure.ts'

const absentIs = <T>(absent: T, read: () => T): T => {
  try {
    return read()
  } catch (error) {
    // ENODEV: the cgroup was removed between opening its file and reading it.
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENODEV') return absent
    throw error
  }
}

const slash = Buffer.from('/')

/** A file of a cgroup whose path may hold any bytes, since a container can have named it. */
export const fileIn = (directory: Buffer, name: string): Buffer =>
  Buffer.concat([directory, slash, Buffer.from(name)])

/** The cgroup and all below it, each before its children; empty when it is absent. */
export const cgroupsBelow = (path: string): Buffer[] => {
  const found: Buffer[] = []
  const waiting = [Buffer.from(path)]
  for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
    const here = directory
    const entries = absentIs(undefined, () => readdirSync(here, { withFileTypes: true, encoding: 'buffer' }))
    if (!entries) continue
    found.push(here)
    for (const entry of entries) {
      if (entry.isDirectory()) waiting.push(Buffer.concat([here, slash, entry.name]))
    }
  }
  return found
}

/** A threaded cgroup does not say: its processes are those of the domain above it (cgroups(7), "Thread mode"). */
const procsOf = (directory: Buffer): string => {
  try {
    return readFileSync(fileIn(directory, 'cgroup.procs'), 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOTSUP' || errnoOf(error) === 'EOPNOTSUPP') return ''
    throw error
  }
}

/** The processes of one cgroup, without those of its children. */
export const processesIn = (directory: Buffer): number[] =>
  absentIs('', () => procsOf(directory))
    .split('\n')
    .filter((line) => line !== '')
    .map(Number)
    // A process of another pid namespace is shown as 0.
    .filter((pid) => pid > 0)

import { existsSync } from 'node:fs'
import { readFile, readdir, statfs } from 'node:fs/promises'
import { freemem } from 'node:os'
import { dirname } from 'node:path'
import type { Config } from '../../../shared/config.ts'
import type { HostCheck } from './host-checks.ts'

/** Room for as many more is what nobody has to think about. */
const plenty = 1000

/** One thing of which a host has so many. */
interface Ceiling {
  name: string
  limit: number
  used: number
  /** What one running container takes of it. */
  each: number
  /** What raises it. */
  advice: string
}

const numberIn = async (path: string): Promise<number> =>
  existsSync(path) ? Number((await readFile(path, 'utf8')).trim().split(/\s+/)[0]) : Number.POSITIVE_INFINITY

const entriesIn = async (path: string): Promise<number> =>
  existsSync(path) ? (await readdir(path)).length : 0

const linesIn = async (path: string): Promise<number> =>
  existsSync(path) ? (await readFile(path, 'utf8')).trim().split('\n').length : 0

/** conmon's, each pipe and socket counted, and what init opens. */
const filesEach = 24
/** conmon with its thread, and init. */
const threadsEach = 3
/** The monitor and the kernel's part, measured with a thousand idle ones. */
const memoryEach = 3 * 2 ** 20
/** A snapshot's metadata on btrfs, with its quota. */
const diskEach = 256 * 2 ** 10

const threadsInUse = async (): Promise<number> =>
  Number(/\/(\d+) /.exec(await readFile('/proc/loadavg', 'utf8'))?.[1] ?? 0)

const diskOf = async ({ names, root }: Config): Promise<Ceiling> => {
  const { bavail, bsize } = await statfs(
    existsSync(names.cowfs) ? names.cowfs : existsSync(root) ? root : '/',
  )
  return {
    name: 'disk',
    limit: bavail * bsize,
    used: 0,
    each: diskEach,
    advice: 'DOLLY_COWFS_SIZE at the first start',
  }
}

const ceilings = async (config: Config): Promise<Ceiling[]> => {
  const { names } = config
  const sysctl = '/proc/sys'
  const [pidMax, threadsMax] = await Promise.all([
    numberIn(`${sysctl}/kernel/pid_max`),
    numberIn(`${sysctl}/kernel/threads-max`),
  ])
  const raise = (name: string) => `sysctl ${name}`
  return [
    {
      name: 'neighbours (ARP)',
      limit: await numberIn(`${sysctl}/net/ipv4/neigh/default/gc_thresh3`),
      used: Math.max(0, (await linesIn('/proc/net/arp')) - 1),
      each: 1,
      advice: raise('net.ipv4.neigh.default.gc_thresh3'),
    },
    {
      name: 'processes and threads',
      limit: Math.min(pidMax, threadsMax),
      used: await threadsInUse(),
      each: threadsEach,
      advice: raise(pidMax < threadsMax ? 'kernel.pid_max' : 'kernel.threads-max'),
    },
    {
      name: 'open files',
      limit: await numberIn(`${sysctl}/fs/file-max`),
      used: await numberIn(`${sysctl}/fs/file-nr`),
      each: filesEach,
      advice: raise('fs.file-max'),
    },
    {
      name: 'network namespaces',
      limit: await numberIn(`${sysctl}/user/max_net_namespaces`),
      used: await entriesIn(dirname(names.netnsPath('any'))),
      each: 1,
      advice: raise('user.max_net_namespaces'),
    },
    {
      name: 'ids of user namespaces',
      limit: config.idPool.count,
      used: await entriesIn(names.idLeases),
      each: 1,
      advice: 'DOLLY_ID_POOL',
    },
    { name: 'memory', limit: freemem(), used: 0, each: memoryEach, advice: 'more of it' },
    await diskOf(config),
  ]
}

/** How many more idle containers each of the host's ceilings lets run, and what raises those that are low. */
export const scaleChecks = async (config: Config): Promise<HostCheck[]> =>
  (await ceilings(config)).map(({ name, limit, used, each, advice }) => {
    const room = Math.max(0, Math.floor((limit - used) / each))
    const counted = each === 1 ? `, ${used} of ${limit} in use` : ''
    return {
      name: `scale: ${name}`,
      ok: room >= plenty,
      optional: true,
      found: Number.isFinite(room) ? `room for ${room} containers${counted}` : 'no limit',
      wanted: `for ${plenty}; ${advice} gives more`,
    }
  })

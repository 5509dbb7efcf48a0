import { readFile, readdir, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { findProcesses } from '../../services/cli/stack/process-table.ts'
import type { Config } from '../../shared/config.ts'
import { errnoOf } from '../../shared/failure.ts'
import { type Mount, parseMountTable, readMountTable } from '../../shared/mount-table.ts'
import { run } from '../../shared/recorder.ts'

// What goes away while it is looked at is not there.
const gone = new Set(['ENOENT', 'ESRCH', 'ENOTDIR', 'ENODEV', 'EACCES', 'EPERM'])

/** What a look at the kernel answers, or undefined when there is nothing (any more). */
export const ifThere = async <T>(look: Promise<T>): Promise<T | undefined> => {
  try {
    return await look
  } catch (error) {
    if (gone.has(errnoOf(error) ?? '')) return undefined
    throw error
  }
}

/** The entries of a directory; none when it is not there. */
export const entriesOf = async (directory: string): Promise<string[]> =>
  (await ifThere(readdir(directory))) ?? []

/** Whether the path exists. */
export const exists = async (path: string): Promise<boolean> => (await ifThere(stat(path))) !== undefined

/** What `btrfs subvolume show` says of a subvolume. */
export const subvolume = async (path: string) => {
  const shown = await run('btrfs', ['subvolume', 'show', path])
  const field = (name: string): string => new RegExp(`^\\s*${name}:\\s*(.*)$`, 'm').exec(shown)?.[1] ?? ''
  return {
    path: shown.split('\n', 1)[0] ?? '',
    id: Number(field('Subvolume ID')),
    uuid: field('UUID'),
    parentUuid: field('Parent UUID'),
    readonly: field('Flags') === 'readonly',
  }
}

/** Paths of all subvolumes of the file system at a mount point. */
export const subvolumes = async (mountPoint: string): Promise<string[]> =>
  (await run('btrfs', ['subvolume', 'list', mountPoint]))
    .split('\n')
    .flatMap((line) => / path (.+)$/.exec(line)?.[1] ?? [])

/** Soft and hard value of a line of `/proc/<pid>/limits`. */
export const processLimit = async (pid: number, name: string): Promise<string[]> => {
  const text = await readFile(`/proc/${pid}/limits`, 'utf8')
  return new RegExp(`^${name} +(\\S+) +(\\S+)`, 'm').exec(text)?.slice(1, 3) ?? []
}

/** The inode of one of a process's namespaces, as `uts:[4026531838]`. */
export const namespaceOf = (pid: number | 'self', kind: string): Promise<string> =>
  readlink(`/proc/${pid}/ns/${kind}`)

/** What a process sees mounted. */
export const mountsOf = async (pid: number): Promise<Mount[]> =>
  parseMountTable(await readFile(`/proc/${pid}/mountinfo`, 'utf8'))

/** The host's directory of the cgroup a process is in, for a controller of v1 or, without one, of v2. */
const cgroupDirectory = async (pid: number, controller: string): Promise<string | undefined> => {
  const lines = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).split('\n').map((line) => line.split(':'))
  const v1 = lines.find(([, controllers = '']) => controllers.split(',').includes(controller))
  const v2 = lines.find(([number]) => number === '0')
  const path = (v1 ?? v2)?.[2]
  const mounts = (await readMountTable()).filter(({ root }) => root === '/')
  const mount = v1
    ? mounts.find(({ fsType, superOptions }) => fsType === 'cgroup' && superOptions.includes(controller))
    : mounts.find(({ fsType }) => fsType === 'cgroup2')
  return mount && path ? join(mount.mountPoint, path) : undefined
}

/** A file of the cgroup a process is in: its name on v1 or on v2, whichever hierarchy has the controller. */
export const cgroupFile = async (
  pid: number,
  controller: string,
  file: { v1: string; v2: string },
): Promise<string> => {
  const directory = await cgroupDirectory(pid, controller)
  if (!directory) throw new Error(`process ${pid} is in no cgroup for ${controller}`)
  const text = (await ifThere(readFile(join(directory, file.v1), 'utf8'))) ?? ''
  return (text || (await readFile(join(directory, file.v2), 'utf8'))).trim()
}

/** Quota and period in microseconds, as v2's `cpu.max` writes them. */
export const cpuQuota = async (pid: number): Promise<string> => {
  const file = (v1: string) => cgroupFile(pid, 'cpu', { v1, v2: 'cpu.max' })
  const quota = await file('cpu.cfs_quota_us')
  return quota.includes(' ') ? quota : `${quota} ${await file('cpu.cfs_period_us')}`
}

/** A counter of the cgroup's `cpu.stat`. */
export const cpuStat = async (pid: number, key: string): Promise<number> => {
  const text = await cgroupFile(pid, 'cpu', { v1: 'cpu.stat', v2: 'cpu.stat' })
  return Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(text)?.[1] ?? 0)
}

/** Processor time, in milliseconds, that the cgroup a process is in has had. */
export const cpuUsageMs = async (pid: number): Promise<number> => {
  const text = await cgroupFile(pid, 'cpuacct', { v1: 'cpuacct.usage', v2: 'cpu.stat' })
  const microseconds = /^usage_usec (\d+)$/m.exec(text)?.[1]
  return microseconds === undefined ? Number(text) / 1e6 : Number(microseconds) / 1e3
}

/** How many processes the memory limit has killed in the cgroup a process is in. */
export const oomKills = async (pid: number): Promise<number> => {
  const text = await cgroupFile(pid, 'memory', { v1: 'memory.oom_control', v2: 'memory.events' })
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0)
}

/** Every directory below all cgroup hierarchies with the container's name. */
export const cgroupsOf = async ({ names: { cgroup } }: Config, id: string): Promise<string[]> => {
  const mounts = (await readMountTable()).filter(({ fsType }) => /^cgroup2?$/.test(fsType))
  const paths = mounts.map(({ mountPoint }) => join(mountPoint, cgroup(id)))
  const there = await Promise.all(paths.map(exists))
  return paths.filter((_, index) => there[index])
}

/** Runs a program of the host in one namespace of a process: what it says is the kernel's word. */
export const inNamespace = (pid: number, kind: 'net' | 'uts', words: readonly string[]): Promise<string> =>
  run('nsenter', [`--${kind}=/proc/${pid}/ns/${kind}`, '--', ...words])

interface Link {
  ifindex: number
  ifname: string
  master?: string
  /** Index of a veth's other end, in whichever namespace. */
  link_index?: number
  operstate: string
}

/** The interfaces of the host. */
export const hostLinks = async (): Promise<Link[]> => JSON.parse(await run('ip', ['-j', 'link'])) as Link[]

/** The interfaces in a process's network namespace. */
export const linksIn = async (pid: number): Promise<Link[]> =>
  JSON.parse(await inNamespace(pid, 'net', ['ip', '-j', 'link'])) as Link[]

const addressesOf = (shown: string): string[] => {
  const [{ addr_info: info = [] } = {}] = JSON.parse(shown) as {
    addr_info?: { local: string; prefixlen: number }[]
  }[]
  return info.map(({ local, prefixlen }) => `${local}/${prefixlen}`)
}

/** The addresses of `eth0` in a process's network namespace, as `10.0.0.2/20`. */
export const addressesIn = async (pid: number): Promise<string[]> =>
  addressesOf(await inNamespace(pid, 'net', ['ip', '-j', '-4', 'address', 'show', 'dev', 'eth0']))

/** Gateway and device of the default routes in a process's network namespace. */
export const defaultRoutesIn = async (pid: number): Promise<{ gateway: string; dev: string }[]> => {
  const routes = JSON.parse(await inNamespace(pid, 'net', ['ip', '-j', 'route', 'show', 'default'])) as {
    gateway: string
    dev: string
  }[]
  return routes.map(({ gateway, dev }) => ({ gateway, dev }))
}

/** Command lines of the host's processes that hold the text. */
export const processesNaming = async (text: string): Promise<string[]> => {
  const found = await findProcesses((args) => args.some((arg) => arg.includes(text)))
  return found.map(({ pid }) => `process ${pid}`)
}

/** The addresses of an interface of the host, as `10.0.0.1/20`. */
export const addressesOn = async (name: string): Promise<string[]> =>
  addressesOf(await run('ip', ['-j', '-4', 'address', 'show', 'dev', name]))

const numberOf = (address: string): number =>
  address.split('.').reduce((total, part) => total * 256 + Number(part), 0)

/** Whether an address lies in the subnet of another, both as `10.0.0.1/20`. */
export const isInSubnet = (address: string, subnet: string): boolean => {
  const [network = '', length] = subnet.split('/')
  const size = 2 ** (32 - Number(length))
  return Math.floor(numberOf(address.split('/')[0] ?? '') / size) === Math.floor(numberOf(network) / size)
}

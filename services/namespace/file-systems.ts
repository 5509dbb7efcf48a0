import { Failure } from '../../shared/failure.ts'
import { quantity } from '../../shared/contracts/quantity.ts'
import type { CgroupView } from './cgroup-mounts.ts'
import type { Operation } from './operation.ts'

const mount = (
  type: string,
  target: string,
  attributes: string,
  options = '',
  links: 'plain' | 'inside' = 'plain',
): Operation => ['mount', type, type, target, attributes, options, links]

/** As the OCI runtime-spec wants them; the device controller decides who may open what. */
const devices = [
  ['null', 1, 3],
  ['zero', 1, 5],
  ['full', 1, 7],
  ['random', 1, 8],
  ['urandom', 1, 9],
  ['tty', 5, 0],
] as const

const links = [
  ['pts/ptmx', '/dev/ptmx'],
  ['/proc/self/fd', '/dev/fd'],
  ['/proc/self/fd/0', '/dev/stdin'],
  ['/proc/self/fd/1', '/dev/stdout'],
  ['/proc/self/fd/2', '/dev/stderr'],
] as const

export const procMount: Operation = mount('proc', '/proc', 'nosuid,nodev,noexec')
/** Needs a network namespace that the container owns: sysfs shows the interfaces of the one it is mounted in. */
export const sysMount: Operation = mount('sysfs', '/sys', 'nosuid,nodev,noexec,ro')

/** A fresh `/dev`: whatever the image has there stays underneath, out of sight. */
export const deviceTree: readonly Operation[] = [
  mount('tmpfs', '/dev', 'nosuid,noexec,strictatime', 'mode=755,size=64k'),
  ...['pts', 'shm', 'mqueue'].map((name): Operation => ['mkdir', `/dev/${name}`, '0755']),
  ...devices.map(([name, major, minor]): Operation => [
    'mknod',
    `/dev/${name}`,
    '0666',
    'c',
    String(major),
    String(minor),
  ]),
  ...links.map(([target, path]): Operation => ['symlink', target, path]),
  mount('devpts', '/dev/pts', 'nosuid,noexec', 'newinstance,ptmxmode=0666,mode=0620,gid=5'),
  mount('mqueue', '/dev/mqueue', 'nosuid,nodev,noexec'),
]

export const sharedMemory = (bytes: number): Operation =>
  mount('tmpfs', '/dev/shm', 'nosuid,nodev,noexec', `mode=1777,size=${bytes}`)

/** Docker's defaults for a `tmpfs:` entry, and the option that takes each back. */
const restrictive = { nosuid: 'suid', nodev: 'dev', noexec: 'exec' } as const
const passed = ['mode', 'uid', 'gid', 'nr_inodes', 'nr_blocks'] as const

const tmpfsOption = (entry: string, option: string): string => {
  const [key = '', value = ''] = option.split('=')
  if (key === 'size') {
    const bytes = quantity(value)
    if (bytes !== undefined) return `size=${bytes}`
  }
  if (passed.some((name) => name === key) && /^\d+$/.test(value)) return option
  throw new Failure('invalid_message', `cannot mount tmpfs "${entry}": unknown option "${option}"`)
}

/** A `tmpfs` entry in Compose's short syntax, `/path[:option,…]`. Throws `Failure` (`invalid_message`). */
export const tmpfsMount = (entry: string): Operation => {
  const [path = '', ...rest] = entry.split(':')
  if (!path.startsWith('/') || path.split('/').every((part) => part === '')) {
    throw new Failure(
      'invalid_message',
      `cannot mount tmpfs "${entry}": give an absolute path that is not "/"`,
    )
  }
  const options = rest.join(':').split(',').filter(Boolean)
  const switches = new Set<string>(['rw', 'ro', 'noatime', ...Object.entries(restrictive).flat()])
  const attributes = [
    ...Object.entries(restrictive)
      .filter(([, taken]) => !options.includes(taken))
      .map(([attribute]) => attribute),
    ...options.filter((option) => option === 'ro' || option === 'noatime'),
  ]
  const data = options.filter((option) => !switches.has(option)).map((option) => tmpfsOption(entry, option))
  return mount(
    'tmpfs',
    path.replace(/\/+$/, ''),
    attributes.join(','),
    ['mode=1777', ...data].join(','),
    'inside',
  )
}

const viewAttributes = 'nosuid,nodev,noexec,ro'

/** The container's own cgroups, to read: after it has joined them, so that each shows as a root. */
export const cgroupTree = (views: readonly CgroupView[]): Operation[] => {
  const top = '/sys/fs/cgroup'
  const [only] = views
  if (!only) return []
  if (views.length === 1 && only.fsType === 'cgroup2') return [mount('cgroup2', top, viewAttributes)]
  return [
    mount('tmpfs', top, 'nosuid,nodev,noexec', 'mode=755,size=4k'),
    ...views.flatMap(({ name, fsType, options }): Operation[] => [
      ['mkdir', `${top}/${name}`, '0755'],
      mount(fsType, `${top}/${name}`, viewAttributes, options),
    ]),
    ['remount', top, 'ro'],
  ]
}

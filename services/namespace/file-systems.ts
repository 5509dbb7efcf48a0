import { Failure } from '../../shared/failure.ts'
import { quantity } from '../../shared/contracts/quantity.ts'
import type { CgroupView } from './cgroup-mounts.ts'
import type { Operation } from './operation.ts'

const mount = (
  type: string,
  target: string,
  attributes: string,
  options = '',
  links: 'plain' | 'apart' = 'plain',
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

/**
 * A file system that is made before the pivot and put in its place after it. The kernel lets a user
 * namespace mount proc and sysfs only where another one is in full sight, so these are made while the
 * host's are; and only root of the host may make device nodes.
 */
export interface EarlyMount {
  /** Done by root of the host. */
  outside: Operation[]
  /** Done in the container's namespaces. */
  inside: Operation[]
  place: Operation
}

const makeMount = (slot: string, type: string, attributes: string, options = ''): Operation => [
  'file-system',
  slot,
  type,
  type,
  attributes,
  options,
]
const placeMount = (slot: string, target: string, attributes = ''): Operation => [
  'bind',
  slot,
  target,
  attributes,
  'directory',
  'plain',
]

export const procMount = (slot: string): EarlyMount => ({
  outside: [],
  inside: [makeMount(slot, 'proc', 'nosuid,nodev,noexec')],
  place: placeMount(slot, '/proc'),
})

const sysAttributes = { ro: 'nosuid,nodev,noexec,ro', rw: 'nosuid,nodev,noexec' }

/** Needs a network namespace that the container owns: sysfs shows the interfaces of the one it is mounted in. */
export const sysMount = (slot: string, access: 'ro' | 'rw'): EarlyMount => ({
  outside: [],
  inside: [makeMount(slot, 'sysfs', sysAttributes[access])],
  place: placeMount(slot, '/sys'),
})

/** The host's own: a network namespace that is not the container's gives it no sysfs. */
export const hostSys = (slot: string, access: 'ro' | 'rw'): EarlyMount => ({
  outside: [['tree', slot, '/sys', 'single']],
  inside: [],
  place: placeMount(slot, '/sys', sysAttributes[access]),
})

/** The tmpfs for `/dev` and its nodes, which belong to the container's root: whatever the image has there stays underneath. */
export const deviceMount = (slot: string, owner: number): EarlyMount => {
  const node = ([name, major, minor]: (typeof devices)[number]): Operation => [
    'node',
    slot,
    name,
    '0666',
    String(major),
    String(minor),
    String(owner),
    String(owner),
  ]
  const options = `mode=755,size=64k,uid=${owner},gid=${owner}`
  return {
    outside: [makeMount(slot, 'tmpfs', 'nosuid,noexec,strictatime', options), ...devices.map(node)],
    inside: [],
    place: placeMount(slot, '/dev'),
  }
}

/** What `/dev` has beside its nodes. */
export const deviceTree: readonly Operation[] = [
  ...['pts', 'shm', 'mqueue'].map((name): Operation => ['mkdir', `/dev/${name}`, '0755']),
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
  // Whoever names a place in the kernel's file systems means it; a link of the image that leads there is refused.
  const place = /^\/+(proc|sys|dev)(\/|$)/.test(path) ? 'plain' : 'apart'
  return mount(
    'tmpfs',
    path.replace(/\/+$/, ''),
    attributes.join(','),
    ['mode=1777', ...data].join(','),
    place,
  )
}

const viewAttributes = 'nosuid,nodev,noexec,ro'

/**
 * The container's own cgroups, to read. Copies of the host's mounts, opened while those are in sight: to mount a v1
 * hierarchy waits for a look at every cgroup that it has.
 */
export const cgroupTree = (
  views: readonly CgroupView[],
  slot: () => string,
): { opened: Operation[]; placed: Operation[] } => {
  const top = '/sys/fs/cgroup'
  const trees = views.map((view) => ({ ...view, slot: slot() }))
  const opened = trees.map(({ slot: number, directory }): Operation => ['tree', number, directory, 'single'])
  const [only] = trees
  if (!only) return { opened, placed: [] }
  if (trees.length === 1 && only.isUnified)
    return { opened, placed: [placeMount(only.slot, top, viewAttributes)] }
  const placed: Operation[] = [
    mount('tmpfs', top, 'nosuid,nodev,noexec', 'mode=755,size=4k'),
    ...trees.flatMap(({ name, slot: number }): Operation[] => [
      ['mkdir', `${top}/${name}`, '0755'],
      placeMount(number, `${top}/${name}`, viewAttributes),
    ]),
    ['remount', top, 'ro'],
  ]
  return { opened, placed }
}

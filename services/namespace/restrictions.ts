import type { Process, UserNamespace } from '../../shared/contracts/oci.ts'
import { Failure } from '../../shared/failure.ts'
import { capabilityMask } from './capability-set.ts'
import type { Operation } from './operation.ts'

/** Files and directories of the kernel's that a container may not see, as in Podman. */
export const masked = {
  directories: [
    '/proc/acpi',
    '/proc/asound',
    '/proc/scsi',
    '/sys/firmware',
    '/sys/fs/selinux',
    '/sys/dev/block',
    '/sys/devices/virtual/powercap',
  ],
  files: 'interrupts kcore keys latency_stats sched_debug timer_list timer_stats'
    .split(' ')
    .map((name) => `/proc/${name}`),
} as const

/** Those that it may see but not change. */
export const readonlyPaths = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
] as const

/**
 * Covers with inodes of the container's own: one of the host's, as /dev/null, could be swapped (CVE-2025-31133). They
 * are in the slot of its `/dev`, made before anything else is mounted there.
 */
export const covers = (devices: string, slot: () => string): { source: Operation; placed: Operation[] } => {
  const [file, directory] = [slot(), slot()]
  return {
    source: ['mask-source', devices, file, directory],
    placed: [
      ...[...masked.directories, ...masked.files].map((path): Operation => ['mask', file, directory, path]),
      ...readonlyPaths.map((path): Operation => ['readonly', path]),
    ],
  }
}

const ipcSysctls = new Set(
  ['msgmax', 'msgmnb', 'msgmni', 'sem', 'shmall', 'shmmax', 'shmmni', 'shm_rmid_forced'].map(
    (name) => `kernel.${name}`,
  ),
)

/**
 * Writes to `/proc/sys`, only for settings that belong to a namespace of the container's own.
 * Throws `Failure` (`not_permitted`) for any other.
 */
export const sysctlWrites = (
  sysctls: Readonly<Record<string, string>>,
  { ownNetwork, groups = 2 ** 31 }: { ownNetwork: boolean; groups?: number | undefined },
): Operation[] => {
  // Lets `ping` work without NET_RAW, where it asks for no raw socket.
  const all = { ...(ownNetwork ? { 'net.ipv4.ping_group_range': `0 ${groups - 1}` } : {}), ...sysctls }
  return Object.entries(all).map(([key, value]): Operation => {
    const permitted =
      ipcSysctls.has(key) || key.startsWith('fs.mqueue.') || (ownNetwork && key.startsWith('net.'))
    if (!permitted || !/^[\w.\-/]+$/.test(key) || key.split(/[./]/).some((part) => part === '')) {
      throw new Failure(
        'not_permitted',
        `cannot set sysctl ${key}: it does not belong to a namespace of the container`,
      )
    }
    // As in sysctl(8): the first separator tells which of "." and "/" parts the path.
    const parts = key.split('.').map((part) => part.replaceAll('/', '.'))
    return ['proc-write', `/proc/sys/${parts.join('/')}`, value]
  })
}

const limitName = (type: string): string => type.replace(/^RLIMIT_/i, '').toLowerCase()
const limit = (value: number): string => (value < 0 ? 'unlimited' : String(value))

/** For what goes beyond the host's limits: raised while the process is still root of the host. */
export const ceilings = (limits: Process['rlimits']): Operation[] =>
  limits.map(({ type, hard }): Operation => ['ceiling', limitName(type), limit(hard)])

export const rlimits = (limits: Process['rlimits']): Operation[] =>
  limits.map(({ type, soft, hard }): Operation => ['rlimit', limitName(type), limit(soft), limit(hard)])

/**
 * The filter comes last, so that it need not allow what makes the container; without `no_new_privs` the
 * kernel takes it only from one who still has SYS_ADMIN.
 */
export const systemCallFilter = (
  file: string | undefined,
  slot: () => string,
  { noNewPrivileges }: Pick<Process, 'noNewPrivileges'>,
): { opened: Operation[]; early: Operation[]; late: Operation[] } => {
  if (file === undefined) return { opened: [], early: [], late: [] }
  const number = slot()
  const filter: Operation[] = [['seccomp', number]]
  const opened: Operation[] = [['open', number, 'read', file]]
  return { opened, early: noNewPrivileges ? [] : filter, late: noNewPrivileges ? filter : [] }
}

/** Whoever enters a user namespace is still a stranger there. */
export const becomeRoot = (userNamespace: UserNamespace | null): Operation[] =>
  userNamespace ? [['root']] : []

/**
 * From root of the host to the container's user. The bounding set is narrowed while SETPCAP is still
 * held, and a user other than root keeps no capability, as in Docker.
 */
export const identity = (
  user: string,
  { capabilities, noNewPrivileges }: Pick<Process, 'capabilities' | 'noNewPrivileges'>,
): Operation[] => {
  const mask = capabilityMask(capabilities)
  return [
    ['bounding', mask],
    ['user', user, 'drop'],
    ...(noNewPrivileges ? [['no-new-privileges'] as const] : []),
    ['capabilities', mask, mask, '0', '0'],
  ]
}

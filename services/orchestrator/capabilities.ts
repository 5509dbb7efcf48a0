import { Failure } from '../../shared/failure.ts'

/** Every capability of Linux 5.9 and newer, capabilities(7). */
const known = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
]

/** Podman's defaults, and NET_RAW as Docker gives it: Debian's static busybox has a `ping` that needs it. */
const defaults = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'NET_BIND_SERVICE',
  'NET_RAW',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
]

const normalized = (key: string, names: readonly string[]): string[] =>
  names.flatMap((name) => {
    const bare = name.toUpperCase().replace(/^CAP_/, '')
    if (bare === 'ALL') return known
    if (!known.includes(bare))
      throw new Failure('invalid_message', `${key}: "${name}" is no capability; see capabilities(7)`)
    return [bare]
  })

/** The capability set after `cap_add` and `cap_drop`, as `CAP_CHOWN`; a dropped ALL leaves what was added. */
export const capabilitySet = (add: readonly string[], drop: readonly string[]): string[] => {
  const dropped = new Set(normalized('cap_drop', drop))
  const added = normalized('cap_add', add)
  const all = drop.some((name) => /^(CAP_)?ALL$/i.test(name))
  const kept = [
    ...defaults.filter((name) => !dropped.has(name)),
    ...added.filter((name) => all || !dropped.has(name)),
  ]
  return known.filter((name) => kept.includes(name)).map((name) => `CAP_${name}`)
}

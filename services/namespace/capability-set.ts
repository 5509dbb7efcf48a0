import { Failure } from '../../shared/failure.ts'

/** Every capability by its number in the kernel's <linux/capability.h>. */
const known = `
  CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
  NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
  SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
  AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
  PERFMON BPF CHECKPOINT_RESTORE`
  .trim()
  .split(/\s+/)

/** The kernel's bit mask, in hexadecimal, of capabilities as `CAP_CHOWN`. Throws `Failure` (`invalid_message`). */
export const capabilityMask = (names: readonly string[]): string => {
  const bits = names.map((name) => {
    const bit = known.indexOf(name.replace(/^CAP_/, ''))
    if (bit === -1) throw new Failure('invalid_message', `cannot grant ${name}: there is no such capability`)
    return 1n << BigInt(bit)
  })
  return `0x${bits.reduce((mask, bit) => mask | bit, 0n).toString(16)}`
}

/**
 * Capabilities that each program of the stack keeps in its bounding set, and what for, capabilities(7). A
 * program that is not here keeps all: `namespace` gives containers what `cap_add` asks for, and set-uid
 * programs are theirs to allow.
 */
export const keptCapabilities: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  storage: {
    SYS_ADMIN: 'loop devices, mounts, subvolumes, quotas, the import jail',
    SYS_CHROOT: 'the import jail',
    CHOWN: 'owners of imported files',
    DAC_OVERRIDE: 'directories of imported images, whoever owns them',
    FOWNER: 'modes and times of imported files',
    FSETID: 'set-group-id bits of imported files',
    SETFCAP: 'capabilities of imported files',
    MKNOD: 'device nodes of imported images, dead on the host',
  },
  cgroup: {
    SYS_ADMIN: 'device programs of cgroup v2',
    NET_ADMIN: 'which are attached, as Linux 6.1 asks it of who looks',
    DAC_OVERRIDE: 'files of a cgroup, whoever owns them',
    KILL: 'processes left in a cgroup',
  },
  network: {
    NET_ADMIN: 'links, addresses, routes, nftables, forwarding',
    SYS_ADMIN: 'network and user namespaces and where they are mounted',
    DAC_OVERRIDE: 'id maps of containers',
    SETUID: 'id maps of containers',
    SETGID: 'id maps of containers',
    SYS_PTRACE: 'the namespace of a lab container, by its process',
    KILL: 'its own programs in a namespace',
  },
  orchestrator: {},
  'nats-server': {},
}

const setpriv = '/usr/bin/setpriv'

/**
 * The command line under which a program runs with no more than it keeps, by setpriv(1), which becomes the
 * program: no process more.
 */
export const confined = (
  name: string,
  command: string,
  args: readonly string[],
): { command: string; args: readonly string[] } => {
  const kept = keptCapabilities[name]
  if (!kept) return { command, args }
  const bounding = ['-all', ...Object.keys(kept).map((capability) => `+${capability.toLowerCase()}`)].join()
  return {
    command: setpriv,
    args: ['--no-new-privs', '--inh-caps=-all', `--bounding-set=${bounding}`, '--', command, ...args],
  }
}

import { join } from 'node:path'
import type { Config } from '../../../shared/config.ts'
import { harmlessCapabilities } from '../../../shared/host-root.ts'
import { closedAbove } from './checkout.ts'
import { projectDirectory } from './project.ts'

/** Capabilities that each program of the stack keeps in its bounding set, and what for, capabilities(7). */
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
    SYS_NICE: 'cpuset for containers: Linux 6.1 moves every process of the host for it',
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
  // Containers in a user namespace of their own get all of that one, whatever is kept here.
  namespace: {
    ...Object.fromEntries(
      harmlessCapabilities.map((name) => [name, "containers in the host's user namespace"]),
    ),
    SYS_ADMIN: 'namespaces and mounts',
    SYS_PTRACE: 'namespaces of containers, by their processes',
    SYS_RESOURCE: "limits above the host's",
  },
  orchestrator: {},
  'nats-server': {},
}

/** The same, with what a program needs whose files are in a place that only their owner may enter, as a home. */
export const keptBy = (
  name: string,
  project = projectDirectory,
): Readonly<Record<string, string>> | undefined => {
  const kept = keptCapabilities[name]
  if (!kept || 'DAC_OVERRIDE' in kept || closedAbove(join(project, 'services')) === undefined) return kept
  return { ...kept, DAC_READ_SEARCH: 'its own files, in a directory that only their owner may enter' }
}

/** Set-uid programs are the containers' own to allow. */
const newPrivileges = ['namespace']

const setpriv = '/usr/bin/setpriv'

/**
 * The command line under which a program runs with no more than it keeps, by setpriv(1), which becomes the
 * program: no process more. A privileged container has what its service has, so that keeps all where one is allowed.
 */
export const confined = (
  { allowPrivileged }: Pick<Config, 'allowPrivileged'>,
  name: string,
  command: string,
  args: readonly string[],
  project = projectDirectory,
): { command: string; args: readonly string[] } => {
  const kept = keptBy(name, project)
  if (!kept || (allowPrivileged && name === 'namespace')) return { command, args }
  const bounding = ['-all', ...Object.keys(kept).map((capability) => `+${capability.toLowerCase()}`)].join()
  const noNewPrivileges = newPrivileges.includes(name) ? [] : ['--no-new-privs']
  return {
    command: setpriv,
    args: [...noNewPrivileges, '--inh-caps=-all', `--bounding-set=${bounding}`, '--', command, ...args],
  }
}

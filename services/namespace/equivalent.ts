import { shellLine } from '../../shared/recorder.ts'
import type { Operation } from './operation.ts'
import { masked } from './restrictions.ts'

const maskedDirectories = new Set<string>(masked.directories)

const joinOption: Record<string, string> = { network: 'net' }

/** Attributes and options as `mount -o` takes them. */
const mountOptions = (...lists: (string | undefined)[]): string[] => {
  const options = lists
    .filter(Boolean)
    .join(',')
    .split(',')
    .filter((option) => option !== '')
    .map((option) => option.replace(/^-no/, ''))
  return options.length > 0 ? ['-o', options.join(',')] : []
}

/** What a slot of the plan stands for in the shell's words. */
export interface Slot {
  /** Path of what it holds; for a user namespace, of a namespace that it owns. */
  source?: string
  owner?: boolean
  /** Where a file system that was made with it is put. */
  place?: string
  idmap?: string
}

const mountLine = (
  type: string,
  source: string,
  target: string,
  ...options: (string | undefined)[]
): string[] => ['mount', '-t', type, ...mountOptions(...options), source, target]

type Slots = ReadonlyMap<string, Slot>
type Render = (args: readonly string[], slots: Slots) => readonly string[] | string | undefined

/** For each operation the shell command that would do the same. */
const renderings: Record<string, Render> = {
  open: ([slot, mode, path = '']) =>
    mode === 'read'
      ? undefined
      : `exec ${Number(slot) + 10}${mode === 'write' ? '>' : '<'} ${shellLine([path])}`,
  fifo: ([, path = '']) => ['mkfifo', '-m', '600', path],
  write: ([slot, text = '']) => `echo ${shellLine([text])} >&${Number(slot) + 10}`,
  'proc-write': ([path = '', text = '']) => `echo ${shellLine([text])} > ${shellLine([path])}`,
  enter: ([kind = '', slot = ''], slots) => {
    const { source = '', owner = false } = slots.get(slot) ?? {}
    // nsenter(1) of util-linux 2.40 knows how to reach the owner of a namespace.
    const path = `--${owner ? 'net' : (joinOption[kind] ?? kind)}=${source}`
    return owner ? ['nsenter', path, '--user-parent'] : ['nsenter', path]
  },
  bare: () => undefined,
  unshare: (kinds) => ['unshare', ...kinds.map((kind) => `--${joinOption[kind] ?? kind}`)],
  clone: (args) => {
    const [into] = args.filter((arg) => arg.startsWith('into='))
    const kinds = args.filter((arg) => arg !== into)
    const made = shellLine(['unshare', '--fork', ...kinds.map((kind) => `--${joinOption[kind] ?? kind}`)])
    return into ? `echo 0 > /proc/self/fd/${Number(into.slice(5)) + 10}/cgroup.procs && ${made}` : made
  },
  root: () => ['setpriv', '--reuid=0', '--regid=0', '--clear-groups'],
  stdio: ([uid = '']) => `chown ${uid}:${uid} /proc/self/fd/[012]`,
  session: () => ['setsid'],
  keyring: ([name = '']) => ['keyctl', 'session', name],
  hostname: ([name = '']) => ['hostname', name],
  domainname: ([name = '']) => ['domainname', name],
  ceiling: ([name = '', hard = '']) => ['prlimit', `--${name}=:${hard}`],
  rlimit: ([name = '', soft = '', hard = '']) => ['prlimit', `--${name}=${soft}:${hard}`],
  umask: ([mask = '']) => ['umask', mask],
  mkdir: ([path = '', mode = '']) => ['mkdir', '-m', mode, path],
  directory: ([path = '']) => ['mkdir', '-p', path],
  'file-system': ([slot = '', type = '', source = '', attributes, options], slots) =>
    mountLine(type, source, slots.get(slot)?.place ?? '', attributes, options),
  node: ([slot = '', name = '', mode = '', major = '', minor = '', uid = '', gid = ''], slots) => {
    const path = `${slots.get(slot)?.place ?? ''}/${name}`
    const made = shellLine(['mknod', '-m', mode, path, 'c', major, minor])
    return uid === '0' ? made : `${made} && ${shellLine(['chown', `${uid}:${gid}`, path])}`
  },
  symlink: ([target = '', path = '']) => ['ln', '-s', target, path],
  propagation: ([path = '', kind = '']) => ['mount', `--make-r${kind}`, path],
  bind: ([slot = '', target = '', attributes], slots) => {
    const { source, place, idmap } = slots.get(slot) ?? {}
    // One that was made in this plan is in its place already, as the shell would have it.
    if (place !== undefined) return undefined
    return ['mount', '--bind', ...mountOptions(attributes, idmap), source ?? target, target]
  },
  mount: ([type = '', source = '', target = '', attributes, options]) =>
    mountLine(type, source, target, attributes, options),
  remount: ([target = '', attributes = '']) => ['mount', '-o', `remount,bind,${attributes}`, target],
  pivot: ([root = '']) => `cd ${shellLine([root])} && pivot_root . . && umount -l . && cd /`,
  'mask-source': () => 'touch /dev/shm/file && mkdir /dev/shm/directory',
  mask: ([, , path = '']) =>
    ['mount', '--bind', '-o', 'ro'].concat(
      maskedDirectories.has(path) ? '/dev/shm/directory' : '/dev/shm/file',
      path,
    ),
  readonly: ([path = '']) => ['mount', '--rbind', '-o', 'ro', path, path],
  console: () => 'script --command "$command" /dev/null',
  user: ([user = '']) => ['setpriv', `--reuid=${user || '0'}`, '--init-groups'],
  bounding: ([mask = '']) => ['capsh', `--drop=~${mask}`],
  capabilities: ([effective = '']) => [
    'setpriv',
    `--inh-caps=-all`,
    `--ambient-caps=-all`,
    `--caps=${effective}`,
  ],
  'no-new-privileges': () => ['setpriv', '--no-new-privs'],
  env: (variables) => ['export', ...variables],
  cwd: ([path = '']) => ['cd', path],
  cloexec: ([first = '']) => `exec ${first}>&-`,
  resolve: ([name = '']) => ['command', '-v', name],
  program: () => undefined,
  wait: () => 'read < start.fifo',
  seccomp: ([slot = ''], slots) => ['setpriv', '--seccomp-filter', slots.get(slot)?.source ?? ''],
  exec: (args) => ['exec', ...args],
}

/**
 * The shell command that would do what the operation does, or undefined when it only prepares another
 * (`tree` holds what `bind` mounts).
 */
export const equivalentOf = ([name, ...args]: Operation, slots: Slots = new Map()): string | undefined => {
  const rendered = renderings[name]?.(args, slots)
  return rendered === undefined || typeof rendered === 'string' ? rendered : shellLine(rendered)
}

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

type Render = (args: readonly string[], sources: ReadonlyMap<string, string>) => readonly string[] | string

/** For each operation the shell command that would do the same. */
const renderings: Record<string, Render> = {
  open: ([slot, mode, path = '']) =>
    `exec ${Number(slot) + 10}${mode === 'write' ? '>' : '<'} ${shellLine([path])}`,
  fifo: ([, path = '']) => ['mkfifo', '-m', '600', path],
  write: ([slot, text = '']) => `echo ${shellLine([text])} >&${Number(slot) + 10}`,
  'proc-write': ([path = '', text = '']) => `echo ${shellLine([text])} > ${shellLine([path])}`,
  join: ([kind = '', path = '']) => ['nsenter', `--${joinOption[kind] ?? kind}=${path}`],
  unshare: (kinds) => ['unshare', ...kinds.map((kind) => `--${joinOption[kind] ?? kind}`)],
  clone: (args) => {
    const [into] = args.filter((arg) => arg.startsWith('into='))
    const kinds = args.filter((arg) => arg !== into)
    const made = shellLine(['unshare', '--fork', ...kinds.map((kind) => `--${joinOption[kind] ?? kind}`)])
    return into ? `echo 0 > /proc/self/fd/${Number(into.slice(5)) + 10}/cgroup.procs && ${made}` : made
  },
  session: () => ['setsid'],
  keyring: ([name = '']) => ['keyctl', 'session', name],
  hostname: ([name = '']) => ['hostname', name],
  domainname: ([name = '']) => ['domainname', name],
  rlimit: ([name = '', soft = '', hard = '']) => ['prlimit', `--${name}=${soft}:${hard}`],
  umask: ([mask = '']) => ['umask', mask],
  mkdir: ([path = '', mode = '']) => ['mkdir', '-m', mode, path],
  directory: ([path = '']) => ['mkdir', '-p', path],
  mknod: ([path = '', mode = '', ...device]) => ['mknod', '-m', mode, path, ...device],
  symlink: ([target = '', path = '']) => ['ln', '-s', target, path],
  propagation: ([path = '', kind = '']) => ['mount', `--make-r${kind}`, path],
  bind: ([slot = '', target = '', attributes], sources) => [
    'mount',
    '--bind',
    ...mountOptions(attributes),
    sources.get(slot) ?? target,
    target,
  ],
  mount: ([type = '', source = '', target = '', attributes, options]) => [
    'mount',
    '-t',
    type,
    ...mountOptions(attributes, options),
    source,
    target,
  ],
  remount: ([target = '', attributes = '']) => ['mount', '-o', `remount,bind,${attributes}`, target],
  pivot: ([root = '']) => `cd ${shellLine([root])} && pivot_root . . && umount -l . && cd /`,
  'mask-source': ([, path = '']) =>
    `mount -t tmpfs mask ${path} && touch ${path}/file && mkdir ${path}/directory`,
  mask: ([, path = '']) =>
    ['mount', '--bind', '-o', 'ro'].concat(
      maskedDirectories.has(path) ? '/dev/shm/directory' : '/dev/shm/file',
      path,
    ),
  readonly: ([path = '']) => ['mount', '--rbind', '-o', 'ro', path, path],
  detach: ([path = '']) => ['umount', '-l', path],
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
  wait: () => 'read < start.fifo',
  exec: (args) => ['exec', ...args],
}

/**
 * The shell command that would do what the operation does, or undefined when it only prepares another
 * (`tree` holds what `bind` mounts). `sources` are the paths that the plan's slots hold.
 */
export const equivalentOf = (
  [name, ...args]: Operation,
  sources: ReadonlyMap<string, string> = new Map(),
): string | undefined => {
  const rendered = renderings[name]?.(args, sources)
  return rendered === undefined || typeof rendered === 'string' ? rendered : shellLine(rendered)
}

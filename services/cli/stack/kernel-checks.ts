import { access, readFile } from 'node:fs/promises'
import { reasonOf } from '../../../shared/failure.ts'
import { run } from '../../../shared/recorder.ts'
import type { HostCheck } from './host-checks.ts'

const namespaces = ['mnt', 'uts', 'ipc', 'net', 'pid', 'user', 'cgroup']
const controllers = ['cpu', 'memory', 'pids']

/** A NAT rule as the network service makes it, in a table that lives as long as the probe's namespace. */
const natProbe = 'table ip probe { chain nat { type nat hook postrouting priority 100; masquerade; }; }'

/** Tries the feature in a network namespace of its own: whether built in, loaded or loadable, the kernel's own answer. */
const probe = async (name: string, command: readonly string[], input?: string): Promise<HostCheck> => {
  const check = { name: `kernel: ${name}`, wanted: 'a kernel that has it' }
  try {
    await run('unshare', ['--net', ...command], { timeoutMs: 5000, ...(input ? { input } : {}) })
    return { ...check, ok: true, found: 'works' }
  } catch (error) {
    return { ...check, ok: false, found: reasonOf(error) }
  }
}

const fileSystemCheck = async (name: string, { optional = false } = {}): Promise<HostCheck> => {
  const check = { name: `kernel: ${name}`, wanted: 'a kernel that has it', ...(optional ? { optional } : {}) }
  const known = (await readFile('/proc/filesystems', 'utf8'))
    .split('\n')
    .some((line) => line.endsWith(`\t${name}`))
  if (known) return { ...check, ok: true, found: 'there' }
  try {
    await run('modprobe', ['--dry-run', '--quiet', name], { timeoutMs: 5000 })
    return { ...check, ok: true, found: 'a module' }
  } catch {
    return { ...check, ok: false, found: 'absent' } // modprobe says nothing but that there is no such module
  }
}

const namespaceCheck = async (): Promise<HostCheck> => {
  const missing: string[] = []
  for (const name of namespaces) await access(`/proc/self/ns/${name}`).catch(() => missing.push(name))
  return {
    name: 'kernel: namespaces',
    ok: missing.length === 0,
    found: missing.length === 0 ? namespaces.join(' ') : `no ${missing.join(' ')}`,
    wanted: namespaces.join(' '),
  }
}

interface Hierarchy {
  version: 1 | 2
  path: string
  controllers: string[]
}

/** The hierarchies that a mountinfo shows, each with its controllers; a hybrid host has several. */
export const hierarchiesIn = (mountinfo: string): Hierarchy[] =>
  mountinfo.split('\n').flatMap((line): Hierarchy[] => {
    const [mount = '', fileSystem = ''] = line.split(' - ')
    const [type, , options = ''] = fileSystem.split(' ')
    const path = mount.split(' ')[4] ?? ''
    if (type === 'cgroup2') return [{ version: 2, path, controllers: [] }]
    if (type !== 'cgroup') return []
    return [
      {
        version: 1,
        path,
        controllers: options.split(',').filter((option) => option !== 'rw' && option !== 'ro'),
      },
    ]
  })

const cgroupChecks = async (): Promise<HostCheck[]> => {
  const hierarchies = hierarchiesIn(await readFile('/proc/self/mountinfo', 'utf8'))
  for (const hierarchy of hierarchies.filter(({ version }) => version === 2)) {
    hierarchy.controllers = (await readFile(`${hierarchy.path}/cgroup.controllers`, 'utf8'))
      .trim()
      .split(' ')
      .filter(Boolean)
  }
  const there = new Set(hierarchies.flatMap((hierarchy) => hierarchy.controllers))
  const missing = controllers.filter((controller) => !there.has(controller))
  const controlledBy = (version: 1 | 2) => {
    const those = hierarchies.filter((hierarchy) => hierarchy.version === version)
    const has = those
      .flatMap((hierarchy) => hierarchy.controllers)
      .filter((name) => !name.startsWith('name='))
    return those.length === 0 ? [] : [`v${version}: ${has.join(' ') || 'no controllers'}`]
  }
  const found = [...controlledBy(1), ...controlledBy(2)]
  return [
    {
      name: 'kernel: cgroups',
      ok: missing.length === 0,
      found: found.join('; ') || 'none mounted',
      wanted: `controllers ${controllers.join(' ')}`,
    },
  ]
}

/** The kernel's features, found by trying them where no file tells. */
export const kernelChecks = async (): Promise<HostCheck[]> =>
  (
    await Promise.all([
      fileSystemCheck('btrfs'),
      fileSystemCheck('overlay', { optional: true }),
      namespaceCheck(),
      cgroupChecks(),
      probe('user namespaces', ['unshare', '--user', 'true']),
      probe('veth', ['ip', 'link', 'add', 'name', 'probe0', 'type', 'veth', 'peer', 'name', 'probe1']),
      probe('bridge', ['ip', 'link', 'add', 'name', 'probe0', 'type', 'bridge']),
      probe('nftables', ['nft', '-f', '-'], natProbe),
    ])
  ).flat()

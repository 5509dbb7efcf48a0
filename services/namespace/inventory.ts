import { readdirSync } from 'node:fs'
import { basename, join, relative, sep } from 'node:path'
import type { Leak } from '../../shared/contracts/operations.ts'
import { Failure } from '../../shared/failure.ts'
import type { NamespaceHost } from './host.ts'
import { monitorPids, removeMonitorCgroups } from './monitor-cgroup.ts'
import { commandLine } from './process-identity.ts'

const containerOf = (bundles: string, bundle: string): string | null => {
  const [id] = relative(bundles, bundle).split(sep)
  return id && id !== '..' ? id : null
}

const monitors = ({ names }: NamespaceHost): Leak[] =>
  monitorPids(names).flatMap((pid) => {
    const line = commandLine(pid) ?? []
    // The spawner lives there too, and until its command runs an init that has no cgroup of its own.
    if (basename(line[0] ?? '') !== 'conmon') return []
    const bundle = line.includes('--bundle') ? line[line.indexOf('--bundle') + 1] : undefined
    if (!bundle) return []
    return [{ kind: 'monitor', name: `process ${pid}`, container: containerOf(names.bundles, bundle) }]
  })

/** The container of a file of exits, also of one that a monitor was killed in writing: `<id>.XXXXXX`; no id has a dot. */
export const ownerOf = (file: string): string => file.split('.', 1)[0] ?? file

/** Every bundle, exit file and monitor of the stack. */
export const inventory = (host: NamespaceHost): Leak[] => {
  const { bundles, exits } = host.names
  return [
    ...readdirSync(bundles).map((id) => ({ kind: 'bundle', name: join(bundles, id), container: id })),
    ...readdirSync(exits).map((file) => ({
      kind: 'exit file',
      name: join(exits, file),
      container: ownerOf(file),
    })),
    ...monitors(host),
  ]
}

/**
 * Removes the monitors' cgroups, and lets the spawner in them go until it is needed again. Throws
 * `Failure` (`busy`) while a container has a bundle or a monitor.
 */
export const releaseHost = async (host: NamespaceHost): Promise<string[]> => {
  const used = inventory(host)
  if (used.length > 0) {
    const containers = [...new Set(used.map(({ container, name }) => container ?? name))]
    throw new Failure('busy', `cannot release the namespace service: in use by ${containers.join(', ')}`, {
      details: { containers },
    })
  }
  await host.monitor.spawner.end()
  return removeMonitorCgroups(host.names)
}

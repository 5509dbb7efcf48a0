import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../../shared/config.ts'
import { errnoOf } from '../../shared/failure.ts'

const namesIn = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : [])

/** Where a link leads; nowhere when another container has just given it back. */
const targetOf = (link: string): string[] => {
  try {
    return [readlinkSync(link)]
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

const leases = (directory: string): string[] =>
  existsSync(directory)
    ? readdirSync(directory, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isSymbolicLink() && !entry.name.startsWith('.'))
        .flatMap(({ parentPath, name }) => targetOf(join(parentPath, name)).map((id) => `lease of ${id}`))
    : []

const cgroupRoots = (): string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] ?? '')

/**
 * Everything that the containers of a stack have on the host, read from the kernel and the disk by the
 * stack's prefixes and not from anybody's records.
 */
const everyTrace = ({ names }: Config): string[] => [
  ...namesIn(names.containers).map(names.rootfs),
  ...namesIn(names.bundles).map(names.bundle),
  ...namesIn(names.exits).map((id) => join(names.exits, id)),
  ...namesIn('/run/netns')
    .filter((name) => name.startsWith(names.netnsPrefix))
    .map((name) => join('/run/netns', name)),
  ...namesIn('/sys/class/net').filter((name) => name.startsWith(names.vethPrefix)),
  ...cgroupRoots().flatMap((root) =>
    namesIn(join(root, names.cgroupParent))
      .filter(
        (name) => !name.startsWith('.') && existsSync(join(root, names.cgroupParent, name, 'cgroup.procs')),
      )
      .map((name) => join(root, names.cgroupParent, name)),
  ),
  ...leases(names.networkState),
]

/** Those of them that one container explains. */
const explains = ({ names }: Config, id: string) => {
  const own = new Set([
    names.rootfs(id),
    names.bundle(id),
    join(names.exits, id),
    names.netnsPath(id),
    names.veth(id),
    `lease of ${id}`,
  ])
  return (trace: string): boolean => own.has(trace) || trace.endsWith(names.cgroup(id))
}

/** What the container has on the host; empty when nothing of it is left. */
export const tracesOf = (config: Config, id: string): string[] =>
  everyTrace(config).filter(explains(config, id))

/** What is on the host under the stack's names and belongs to none of these containers. */
export const tracesBeside = (config: Config, ids: readonly string[]): string[] => {
  const explained = ids.map((id) => explains(config, id))
  return everyTrace(config).filter((trace) => !explained.some((own) => own(trace)))
}

import { accessSync, constants, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Config } from '../../shared/config.ts'
import { defaultCapabilities, ociCapabilities } from '../../shared/capabilities.ts'
import { Failure } from '../../shared/failure.ts'
import type { Mount } from '../../shared/mount-table.ts'
import type { Names } from '../../shared/names.ts'
import { systemPath } from '../../shared/recorder.ts'
import type { Context } from '../../shared/service.ts'
import { type BundlePaths, bundlePaths } from './bundle.ts'
import { readCgroupMounts } from './cgroup-mounts.ts'
import { type Makings, createMakings } from './makings.ts'
import { type MonitorHost, createSpawner } from './monitor.ts'
import type { PreparedLaunches } from './prepared-launch.ts'
import { type OpenStreams, openStreams } from './streams/open-streams.ts'
import { type Filters, createFilters } from './seccomp/filters.ts'

/** What the service keeps of its host in memory; all of it found out again at the next start. */
export interface NamespaceHost {
  names: Names
  paths: (id: string) => BundlePaths
  exitFile: (id: string) => string
  monitor: MonitorHost
  /** Monitors that were started ahead of their containers. */
  prepared: PreparedLaunches
  /** Execs and copies that are being made. */
  makings: Makings
  /** What clients elsewhere have open of its containers. */
  streams: OpenStreams
  cgroupMounts: readonly Mount[]
  filters: Filters
  allowPrivileged: boolean
  bindAllow: readonly string[]
}

const programOnPath = (name: string): string => {
  for (const directory of systemPath.split(':')) {
    const file = join(directory, name)
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      // Not there: the next directory.
    }
  }
  throw new Failure('host_unfit', `cannot supervise containers: ${name} is not installed; run "make setup"`)
}

/** Readies the host for containers: directories, and the spawner in the monitors' cgroups. */
export const prepareHost = async (
  { names, allowPrivileged, bindAllow }: Config,
  { record, log }: Pick<Context, 'record' | 'log'>,
): Promise<NamespaceHost> => {
  for (const directory of [names.bundles, names.exits]) mkdirSync(directory, { recursive: true, mode: 0o700 })
  const conmon = programOnPath('conmon')
  const spawner = createSpawner(names, conmon)
  const filters = createFilters(names.filters)
  const [{ said }] = await Promise.all([
    spawner.ask(['ready']),
    // Ahead of the first container, which would wait for it.
    filters.fileOf(record, 'default', ociCapabilities(defaultCapabilities)),
  ])
  if (said === '') log.warn({ conmon }, 'conmon cannot be kept loaded, so each monitor takes longer to start')
  return {
    names,
    paths: (id) => bundlePaths(names.bundle(id)),
    exitFile: (id) => join(names.exits, id),
    monitor: { conmon, spawner },
    prepared: new Map(),
    makings: createMakings(),
    streams: openStreams(),
    cgroupMounts: readCgroupMounts(),
    filters,
    allowPrivileged,
    bindAllow,
  }
}

import { join } from 'node:path'
import type { Config } from '../../../shared/config.ts'

/** The directory that holds this checkout: services are run from it. */
export const projectDirectory = join(import.meta.dirname, '../../..')

/** Programs that `dolly up` keeps running beside the bus, in the order they are started. */
export const serviceNames = ['storage', 'cgroup', 'network', 'namespace', 'orchestrator'] as const

/** Those that run on a host: one that has joined a bus elsewhere is led by the orchestrators there. */
export const servicesOf = ({ joined }: Pick<Config, 'joined'>): readonly string[] =>
  joined ? serviceNames.filter((name) => name !== 'orchestrator') : serviceNames

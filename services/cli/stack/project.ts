import { join } from 'node:path'

/** The directory that holds this checkout: services are run from it. */
export const projectDirectory = join(import.meta.dirname, '../../..')

/** Programs that `dolly up` keeps running beside the bus, in the order they are started. */
export const serviceNames = ['storage', 'cgroup', 'network', 'namespace', 'orchestrator'] as const

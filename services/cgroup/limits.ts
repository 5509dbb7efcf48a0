import type { Resources } from '../../shared/contracts/oci.ts'
import { Failure } from '../../shared/failure.ts'
import type { HasFile } from './asked.ts'
import { type Hierarchy, hierarchyOf } from './hierarchies.ts'
import type { Limit } from './limit.ts'
import { limitsV1 } from './limits-v1.ts'
import { limitsV2 } from './limits-v2.ts'
import type { Throttle } from './throttle.ts'

const asksFor = (values: object): boolean =>
  Object.values(values).some((value: unknown) => (Array.isArray(value) ? value.length > 0 : Boolean(value)))

/** The v1 and v2 names of the controllers that the resources need, with the OCI key that asks for each. */
const neededControllers = ({ cpu: { cpus, ...cpu }, memory, pids, blockIO }: Resources) =>
  [
    { key: 'cpu', controllers: ['cpu'], needed: asksFor(cpu) },
    { key: 'cpu.cpus', controllers: ['cpuset'], needed: asksFor({ cpus }) },
    { key: 'memory', controllers: ['memory'], needed: asksFor(memory) },
    { key: 'pids', controllers: ['pids'], needed: asksFor(pids) },
    { key: 'blockIO', controllers: ['blkio', 'io'], needed: asksFor(blockIO) },
  ].filter(({ needed }) => needed)

/**
 * Every kernel file that the resources ask to be written, in the order of writing. Pure: the host's
 * hierarchies, device numbers and optional files are given. Throws `Failure` when the host has no
 * controller for what is asked or the value cannot be expressed.
 */
export const limitsFor = (
  resources: Resources,
  hierarchies: readonly Hierarchy[],
  host: { throttles: readonly Throttle[]; hasFile: HasFile },
): Limit[] => {
  for (const { key, controllers } of neededControllers(resources)) {
    if (controllers.some((controller) => hierarchyOf(hierarchies, controller))) continue
    throw new Failure(
      'unsupported',
      `cannot limit ${key}: this host has no ${controllers.join(' or ')} cgroup controller`,
      {
        details: { key },
      },
    )
  }
  return hierarchies.flatMap((hierarchy) =>
    hierarchy.version === 1 ? limitsV1(hierarchy, resources, host) : limitsV2(hierarchy, resources, host),
  )
}

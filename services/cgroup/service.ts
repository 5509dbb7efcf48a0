import type { Config } from '../../shared/config.ts'
import { cgroupPause, cgroupUnpause, objects, release } from '../../shared/contracts/operations.ts'
import { cgroup } from '../../shared/contracts/steps.ts'
import { operating } from '../../shared/operating.ts'
import { pageOfObjects } from '../../shared/object-pages.ts'
import { type HostServiceDefinition, endpoint, stepEndpoints } from '../../shared/service.ts'
import { prepareDeviceFilters } from './device-filter.ts'
import { hierarchyOf } from './hierarchies.ts'
import { cgroupHost } from './host.ts'
import { createGroup } from './group.ts'
import { freeze, thaw } from './freezer.ts'
import { hostFacts } from './host-facts.ts'
import { listCgroups, releaseParents } from './inventory.ts'
import { removeGroup } from './removal.ts'

/** Limits each container with one cgroup in whichever hierarchies the host has. */
export const cgroupService = (config: Config): HostServiceDefinition => {
  const host = cgroupHost(config.names)
  return {
    name: 'cgroup',
    description: 'One cgroup per container on v1, v2 and hybrid hosts, with its limits',
    prepare: ({ record, log }) =>
      operating('prepare cgroups', async () => {
        await host.prepare(record, log)
        if (!hierarchyOf(host.hierarchies(), 'devices')) prepareDeviceFilters()
      }),
    facts: () => hostFacts(config, host),
    endpoints: [
      ...stepEndpoints(cgroup, {
        do: (input, { record }) =>
          operating(`create cgroup ${input.id}`, () => createGroup(host, input, record)),
        undo: ({ id }, { record }) =>
          operating(`remove cgroup ${id}`, () => removeGroup(id, host.groupsOf(id), record)),
      }),
      endpoint(cgroupPause, ({ id }, { record }) =>
        operating(`pause ${id}`, () => freeze(host.groupsOf(id), id, record)),
      ),
      endpoint(cgroupUnpause, ({ id }, { record }) =>
        operating(`unpause ${id}`, () => thaw(host.groupsOf(id), id, record)),
      ),
      endpoint(objects.cgroup, ({ cursor }) =>
        operating('list cgroups', () => pageOfObjects(listCgroups(config.names, host.hierarchies()), cursor)),
      ),
      endpoint(release.cgroup, () =>
        operating('release cgroups', async () => ({
          released: await releaseParents(config.names, host.hierarchies()),
        })),
      ),
    ],
  }
}

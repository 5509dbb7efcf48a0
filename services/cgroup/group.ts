import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { z } from 'zod'
import type { cgroup } from '../../shared/contracts/steps.ts'
import { errnoOf, reasonOf } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { filterDevices } from './device-filter.ts'
import { restrictDevices } from './device-rules.ts'
import type { Group } from './groups.ts'
import type { CgroupHost } from './host.ts'
import { type Limit, refuse } from './limit.ts'
import { limitsFor } from './limits.ts'
import { throttlesOf } from './throttle.ts'

type Input = z.output<typeof cgroup.input>
type Output = z.output<typeof cgroup.output>

const makeDirectories = (groups: readonly Group[], record: Recorder): Promise<void> =>
  record.call(`mkdir ${groups.map(({ path }) => path).join(' ')}`, () => {
    for (const { path } of groups) {
      try {
        mkdirSync(path)
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST') throw error
      }
    }
  })

const makeAll = async (host: CgroupHost, id: string, record: Recorder): Promise<void> => {
  try {
    await makeDirectories(host.groupsOf(id), record)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    // Someone removed the parent since this service readied the host.
    await host.prepare(record)
    await makeDirectories(host.groupsOf(id), record)
  }
}

const writeLimit = async (limit: Limit, path: string, record: Recorder): Promise<void> => {
  try {
    await record.write(join(path, limit.file), limit.value, { verify: limit.verify })
  } catch (error) {
    refuse(limit, limit.value, reasonOf(error), error)
  }
}

/** By the controller of v1 where there is one; on v2 a program in the container's cgroup does the same. */
const allowDevices = async (groups: readonly Group[], record: Recorder): Promise<void> => {
  const byController = groups.find(
    ({ version, controllers }) => version === 1 && controllers.includes('devices'),
  )
  if (byController) return restrictDevices(record, byController.path)
  const unified = groups.find(({ version }) => version === 2)
  if (unified) await filterDevices(record, unified.path)
}

/** Makes the container's cgroup in every hierarchy and writes its limits, each read back and compared. */
export const createGroup = async (
  host: CgroupHost,
  { id, resources }: Input,
  record: Recorder,
): Promise<Output> => {
  await makeAll(host, id, record)
  const groups = host.groupsOf(id)
  const pathOf = new Map(groups.map(({ directory, path }) => [directory, path]))
  const limits = limitsFor(resources, groups, {
    throttles: await throttlesOf(resources.blockIO),
    hasFile: (hierarchy, file) => existsSync(join(pathOf.get(hierarchy) ?? hierarchy, file)),
  })
  for (const limit of limits) await writeLimit(limit, pathOf.get(limit.hierarchy) ?? limit.hierarchy, record)
  await allowDevices(groups, record)
  return { cgroupsPath: host.names.cgroup(id), cgroupDirectories: groups.map(({ path }) => path) }
}

import { existsSync, readdirSync, rmdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Leak } from '../../shared/contracts/operations.ts'
import { Failure, reasonOf } from '../../shared/failure.ts'
import type { Names } from '../../shared/names.ts'
import { until } from './bounded-wait.ts'
import type { Hierarchy } from './hierarchies.ts'

const childrenOf = (path: string): string[] =>
  existsSync(path)
    ? readdirSync(path, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => name)
    : []

/** Every cgroup under the stack's parent, and the parents themselves, in every hierarchy. */
export const listCgroups = (names: Names, hierarchies: readonly Hierarchy[]): Leak[] =>
  hierarchies.flatMap(({ directory }) => {
    const parent = join(directory, names.cgroupParent)
    if (!existsSync(parent)) return []
    const children = childrenOf(parent).map((name) => ({
      kind: 'cgroup',
      name: join(parent, name),
      container: name === basename(names.monitorCgroup) ? null : name,
    }))
    return [{ kind: 'cgroup', name: parent, container: null }, ...children]
  })

/** For a moment after its last process has ended a cgroup is still busy. */
const releaseLimitMs = 500

const removeParent = async (path: string): Promise<void> => {
  let refusal: unknown
  const removed = await until(() => {
    try {
      rmdirSync(path)
    } catch (error) {
      refusal = error
    }
    return !existsSync(path)
  }, releaseLimitMs)
  if (!removed)
    throw new Failure('busy', `cannot remove cgroup ${path}: ${reasonOf(refusal)}`, { cause: refusal })
}

/** Removes the parents and the monitors' cgroups; refuses with `busy` while a container has one. */
export const releaseParents = async (names: Names, hierarchies: readonly Hierarchy[]): Promise<string[]> => {
  const present = listCgroups(names, hierarchies)
  const containers = [...new Set(present.flatMap(({ container }) => container ?? []))]
  if (containers.length > 0) {
    throw new Failure(
      'busy',
      `cannot release the cgroups of ${names.cgroupParent}: ${containers.length} containers have one`,
      {
        details: { containers: containers.slice(0, 100) },
      },
    )
  }
  // Children were listed after their parents.
  const released = present.map(({ name }) => name).toReversed()
  for (const path of released) await removeParent(path)
  return released
}

import { join } from 'node:path'
import type { TranscriptEntry } from '../../shared/recorder.ts'
import type { UserNamespace } from '../../shared/contracts/oci.ts'
import { type Slot, equivalentOf } from './equivalent.ts'
import type { Operation } from './operation.ts'
import { type Outcome, errnoText } from './report.ts'

type Ids = Pick<UserNamespace, 'hostID' | 'size'>

/** What the plan's slots stand for: a file system is made before the pivot where it will be seen after it. */
const slotsOf = (plan: readonly Operation[], { hostID, size }: Ids): Map<string, Slot> => {
  const root = plan.find(([name]) => name === 'pivot')?.[1] ?? ''
  const targets = new Map(
    plan.flatMap(([name, slot = '', target = '']) => (name === 'bind' ? [[slot, target]] : [])),
  )
  const slots = new Map<string, Slot>()
  for (const [name, slot = '', first = '', second = ''] of plan) {
    if (name === 'tree') slots.set(slot, { source: first })
    if (name === 'tree-beneath') slots.set(slot, { source: join(first, second) })
    if (name === 'open') slots.set(slot, { source: second })
    if (name === 'owner') slots.set(slot, { source: first, owner: true })
    if (name === 'file-system') slots.set(slot, { place: `${root}${targets.get(slot) ?? ''}` })
    if (name === 'idmap')
      slots.set(slot, { ...slots.get(slot), idmap: `X-mount.idmap=b:0:${hostID}:${size}` })
  }
  return slots
}

/**
 * The plan and what the native program reports of it, as entries of the container's record: each call
 * with the shell command that would do the same. The wait for the start is no work and left out.
 */
export const transcriptOf = (
  plan: readonly Operation[],
  report: readonly Outcome[],
  ids: Ids = { hostID: 0, size: 0 },
): TranscriptEntry[] => {
  const slots = slotsOf(plan, ids)
  return report.flatMap(({ index, errno, nanoseconds, detail }) => {
    const operation = plan[index]
    if (!operation || (operation[0] === 'wait' && errno === 0)) return []
    const equivalent = equivalentOf(operation, slots)
    const entry: TranscriptEntry = {
      kind: 'call',
      equivalent: equivalent ?? operation.join(' '),
      durationMs: Math.round(nanoseconds / 1000) / 1000,
    }
    if (errno !== 0)
      return [{ ...entry, error: detail ? `${errnoText(errno)}: ${detail}` : errnoText(errno) }]
    return equivalent === undefined ? [] : [entry]
  })
}

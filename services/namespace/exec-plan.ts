import type { BundlePaths } from './bundle.ts'
import type { Command } from './command.ts'
import { type Operation, createSlots } from './operation.ts'
import {
  type HostFacts,
  type Runtime,
  cgroupJoin,
  commandOperations,
  openProgram,
  prologue,
} from './process-plan.ts'
import { becomeRoot, identity, rlimits, systemCallFilter } from './restrictions.ts'

/** What is executed in a running container, and as whom. */
export interface ExecRequest extends Command {
  pid: number
  terminal: boolean
}

/**
 * Every call that puts one more process into a container. All namespaces are opened first, since their
 * paths are the host's; the pid namespace is entered before the clone, since only a child is in it.
 */
export const execPlan = (
  request: ExecRequest,
  spec: Runtime,
  paths: BundlePaths,
  { cgroupMounts, filter }: HostFacts,
): Operation[] => {
  const slot = createSlots()
  const fifo = slot()
  const groups = cgroupJoin(spec.cgroupDirectories, cgroupMounts, slot)
  const filtering = systemCallFilter(filter, slot, spec.process)
  const program = openProgram(request, slot)
  const namespace = (kind: string, file: string) => {
    const number = slot()
    const open: Operation = ['open', number, 'read', `/proc/${request.pid}/ns/${file}`]
    return { open, enter: ['enter', kind, number] as Operation }
  }
  const before = [namespace('pid', 'pid'), ...(spec.userNamespace ? [namespace('user', 'user')] : [])]
  const after = [
    namespace('ipc', 'ipc'),
    namespace('uts', 'uts'),
    // A user namespace of its own has no say in the host's.
    ...(spec.network.kind === 'host' ? [] : [namespace('network', 'net')]),
    namespace('cgroup', 'cgroup'),
    namespace('mount', 'mnt'),
  ]
  return [
    ...prologue(paths, fifo, { spec, groups }),
    ...program.opened,
    ...filtering.opened,
    ...[...before, ...after].map(({ open }) => open),
    ...before.map(({ enter }) => enter),
    ['clone', ...groups.birth],
    ['session'],
    ...after.map(({ enter }) => enter),
    ...becomeRoot(spec.userNamespace),
    ...(request.terminal ? [['console', 'none'] as const] : []),
    ...groups.moves,
    ['env', ...request.env],
    ...rlimits(spec.process.rlimits),
    ...filtering.early,
    ...identity(request.user, spec.process),
    ...commandOperations(request, fifo, filtering.late, program.slot),
  ]
}

import type { Mount } from '../../shared/mount-table.ts'
import type { BundlePaths, ContainerPlan } from './bundle.ts'
import { isUnified } from './cgroup-mounts.ts'
import { takesNewborn } from './cgroup-state.ts'
import type { Command } from './command.ts'
import type { Operation } from './operation.ts'
import { ceilings } from './restrictions.ts'

/** What of a container each of its processes is made with. */
export type Runtime = Pick<ContainerPlan, 'cgroupDirectories' | 'network' | 'process' | 'userNamespace'>

/** What a plan takes from the host. */
export interface HostFacts {
  cgroupMounts: readonly Mount[]
  /** File of the compiled system call filter; undefined for none. */
  filter: string | undefined
  /** File of the mount namespace that the container's begins as a copy of; the host's unless given. */
  bare?: string
  /** Directories of the host that containers may have. */
  bindAllow?: readonly string[]
}

/** How the child comes into its cgroups: born into one of them, moved into the others. */
export interface CgroupJoin {
  opened: Operation[]
  birth: string[]
  moves: Operation[]
}

/**
 * To move a process by `cgroup.procs` waits for every fork of the host, 10 ms after a quiet moment. A
 * single thread that moves itself by v1's `tasks` waits for nothing, nor does one that is born in a v2
 * cgroup. Moves come late: a quota of 1 % of a processor would slow everything that came after.
 */
export const cgroupJoin = (
  directories: readonly string[],
  mounts: readonly Mount[],
  slot: () => string,
): CgroupJoin => {
  const join: CgroupJoin = { opened: [], birth: [], moves: [] }
  for (const directory of directories) {
    const number = slot()
    const unified = isUnified(directory, mounts)
    if (unified && join.birth.length === 0 && takesNewborn(directory)) {
      join.opened.push(['open', number, 'directory', directory])
      join.birth.push(`into=${number}`)
    } else {
      join.opened.push(['open', number, 'write', `${directory}/${unified ? 'cgroup.procs' : 'tasks'}`])
      join.moves.push(['write', number, '0'])
    }
  }
  return join
}

/** A program of the host, opened while its path is in sight. */
export const openProgram = (
  { program }: Command,
  slot: () => string,
): { slot: string | undefined; opened: Operation[] } => {
  if (program === undefined) return { slot: undefined, opened: [] }
  const number = slot()
  return { slot: number, opened: [['open', number, 'read', program]] }
}

/** Everything up to `execve`, which `wait` holds back until the start; `program` is the slot of one of the host's. */
export const commandOperations = (
  command: Command,
  fifo: string,
  last: Operation[],
  program?: string,
): Operation[] => [
  ['umask', '0022'],
  ['cwd', command.cwd],
  ['cloexec', '3'],
  program === undefined ? ['resolve', command.args[0] ?? ''] : ['program', program],
  ...last,
  ['wait', fifo],
  ['exec', ...command.args],
]

/** Done by the runtime itself, as root of the host and with the host's tree in sight. */
export const prologue = (
  paths: BundlePaths,
  fifo: string,
  { spec: { process, userNamespace }, groups }: { spec: Runtime; groups: CgroupJoin },
): Operation[] => [
  ['fifo', fifo, paths.fifo],
  ['proc-write', '/proc/self/oom_score_adj', String(process.oomScoreAdj ?? 0)],
  ...ceilings(process.rlimits),
  ...(userNamespace ? [['stdio', String(userNamespace.hostID)] as const] : []),
  ...groups.opened,
]

import type { BundlePaths, ContainerPlan, NetworkChoice } from './bundle.ts'
import { type CgroupView, cgroupViews, isUnified } from './cgroup-mounts.ts'
import { takesNewborn } from './cgroup-state.ts'
import type { Mount } from '../../shared/mount-table.ts'
import { type Command, commandOf } from './command.ts'
import { cgroupTree, deviceTree, procMount, sharedMemory, sysMount, tmpfsMount } from './file-systems.ts'
import { type Operation, createSlots } from './operation.ts'
import { covers, identity, rlimits, sysctlWrites } from './restrictions.ts'

interface Binding {
  slot: string
  source: string
  target: string
}

/** How the child comes into its cgroups: born into one of them, moved into the others. */
interface CgroupJoin {
  opened: Operation[]
  birth: string[]
  moves: Operation[]
}

/**
 * To move a process by `cgroup.procs` waits for every fork of the host, 10 ms after a quiet moment. A
 * single thread that moves itself by v1's `tasks` waits for nothing, nor does one that is born in a v2
 * cgroup. Moves come late: a quota of 1 % of a processor would slow everything that came after.
 */
const cgroupJoin = (
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

/** Everything up to `execve`, which `wait` holds back until the start. */
const commandOperations = (command: Command, fifo: string): Operation[] => [
  ['umask', '0022'],
  ['cwd', command.cwd],
  ['cloexec', '3'],
  ['resolve', command.args[0] ?? ''],
  ['wait', fifo],
  ['exec', ...command.args],
]

/** Done by the runtime itself, while the host's tree is still in sight. */
const prologue = (paths: BundlePaths, fifo: string, { opened }: CgroupJoin, oomScoreAdj = 0): Operation[] => [
  ['fifo', fifo, paths.fifo],
  ['proc-write', '/proc/self/oom_score_adj', String(oomScoreAdj)],
  ...opened,
]

const rootOperations = (root: Binding, noNewPrivileges: boolean): Operation[] => [
  ['propagation', '/', 'private'],
  ['bind', root.slot, root.target, `nodev,${noNewPrivileges ? 'nosuid' : '-nosuid'}`, 'directory', 'inside'],
  ['pivot', root.target],
]

const fileSystems = (
  spec: ContainerPlan,
  { files, sys, maskSlot }: { files: readonly Binding[]; sys: Binding | undefined; maskSlot: string },
): Operation[] => [
  procMount,
  ...deviceTree,
  sys ? ['bind', sys.slot, sys.target, 'nosuid,nodev,noexec,ro', 'directory', 'plain'] : sysMount,
  ...spec.tmpfs.map(tmpfsMount),
  ...files.map(({ slot, target }): Operation => [
    'bind',
    slot,
    target,
    'nosuid,nodev,noexec',
    'file',
    'inside',
  ]),
  ['hostname', spec.hostname],
  ...(spec.domainname ? [['domainname', spec.domainname] as const] : []),
  ...sysctlWrites(spec.sysctls, { ownNetwork: spec.network.kind !== 'host' }),
  ...covers(maskSlot),
  sharedMemory(spec.shmSizeBytes),
]

const cgroupOperations = ({ moves }: CgroupJoin, views: readonly CgroupView[]): Operation[] => [
  ...moves,
  ['unshare', 'cgroup'],
  ...cgroupTree(views),
]

const networkOperations = (network: NetworkChoice): Operation[] =>
  network.kind === 'join' ? [['join', 'network', network.path]] : []

/** Every call that makes the container from its root file system, in order. */
export const containerPlan = (
  spec: ContainerPlan,
  paths: BundlePaths,
  cgroupMounts: readonly Mount[],
): Operation[] => {
  const slot = createSlots()
  const command = commandOf(spec, spec.imageConfig)
  const { process, rootfs, network } = spec
  const fifo = slot()
  const groups = cgroupJoin(spec.cgroupDirectories, cgroupMounts, slot)
  const root = { slot: slot(), source: rootfs, target: rootfs }
  const sys = network.kind === 'host' ? { slot: slot(), source: '/sys', target: '/sys' } : undefined
  const files = [
    { slot: slot(), source: paths.hostname, target: '/etc/hostname' },
    { slot: slot(), source: paths.hosts, target: '/etc/hosts' },
    { slot: slot(), source: paths.resolver, target: '/etc/resolv.conf' },
  ]
  const trees = [root, ...(sys ? [sys] : []), ...files]
  return [
    ...prologue(paths, fifo, groups, process.oomScoreAdj),
    ...trees.map(({ slot: number, source }): Operation => ['tree', number, source, 'single']),
    ['clone', 'pid', 'mount', 'uts', 'ipc', ...(network.kind === 'own' ? ['network'] : []), ...groups.birth],
    ['session'],
    ['keyring', spec.id],
    ['umask', '0'],
    ...networkOperations(network),
    ...rootOperations(root, process.noNewPrivileges),
    ...fileSystems(spec, { files, sys, maskSlot: slot() }),
    ...(process.terminal ? [['console', 'bind'] as const] : []),
    ['directory', command.cwd],
    ...(spec.readonlyRootfs ? [['remount', '/', 'ro'] as const] : []),
    ...cgroupOperations(groups, cgroupViews(spec.cgroupDirectories, cgroupMounts)),
    ['env', ...command.env],
    ...rlimits(process.rlimits),
    ...identity(command.user, process),
    ...commandOperations(command, fifo),
  ]
}

/** What is executed in a running container, and as whom. */
export interface ExecRequest extends Command {
  pid: number
  terminal: boolean
}

/**
 * Every call that puts one more process into a container. The pid namespace first, since only a child
 * is in it; the mount namespace last, since the others' paths are the host's.
 */
export const execPlan = (
  request: ExecRequest,
  spec: Pick<ContainerPlan, 'cgroupDirectories' | 'process'>,
  paths: BundlePaths,
  cgroupMounts: readonly Mount[],
): Operation[] => {
  const slot = createSlots()
  const fifo = slot()
  const groups = cgroupJoin(spec.cgroupDirectories, cgroupMounts, slot)
  const join = (kind: string, file: string): Operation => ['join', kind, `/proc/${request.pid}/ns/${file}`]
  return [
    ...prologue(paths, fifo, groups, spec.process.oomScoreAdj),
    join('pid', 'pid'),
    ['clone', ...groups.birth],
    ['session'],
    join('ipc', 'ipc'),
    join('uts', 'uts'),
    join('network', 'net'),
    join('cgroup', 'cgroup'),
    join('mount', 'mnt'),
    ...(request.terminal ? [['console', 'none'] as const] : []),
    ...groups.moves,
    ['env', ...request.env],
    ...rlimits(spec.process.rlimits),
    ...identity(request.user, spec.process),
    ...commandOperations(request, fifo),
  ]
}

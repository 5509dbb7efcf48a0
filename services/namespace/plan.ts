import type { BundlePaths, ContainerPlan } from './bundle.ts'
import { type CgroupView, cgroupViews, isUnified } from './cgroup-mounts.ts'
import { takesNewborn } from './cgroup-state.ts'
import type { Mount } from '../../shared/mount-table.ts'
import { type Command, commandOf } from './command.ts'
import {
  cgroupTree,
  deviceMount,
  deviceTree,
  hostSys,
  procMount,
  sharedMemory,
  sysMount,
  tmpfsMount,
} from './file-systems.ts'
import { guestMounts, idmapped } from './guest-mounts.ts'
import { type Operation, createSlots } from './operation.ts'
import {
  becomeRoot,
  ceilings,
  covers,
  identity,
  rlimits,
  sysctlWrites,
  systemCallFilter,
} from './restrictions.ts'

/** What of a container each of its processes is made with. */
type Runtime = Pick<ContainerPlan, 'cgroupDirectories' | 'network' | 'process' | 'userNamespace'>

/** What a plan takes from the host. */
export interface HostFacts {
  cgroupMounts: readonly Mount[]
  /** File of the compiled system call filter; undefined for none. */
  filter: string | undefined
  /** Directories of the host that containers may have. */
  bindAllow?: readonly string[]
}

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
const commandOperations = (command: Command, fifo: string, last: Operation[]): Operation[] => [
  ['umask', '0022'],
  ['cwd', command.cwd],
  ['cloexec', '3'],
  ['resolve', command.args[0] ?? ''],
  ...last,
  ['wait', fifo],
  ['exec', ...command.args],
]

/** Done by the runtime itself, as root of the host and with the host's tree in sight. */
const prologue = (
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

/** The root file system; with a user namespace its files seem to belong to those inside, and stay as they are on disk. */
const rootTree = (root: Binding, user: string | undefined): Operation[] => [
  ['tree', root.slot, root.source, 'single'],
  ...idmapped(root.slot, user),
]

const rootOperations = (root: Binding, noNewPrivileges: boolean): Operation[] => [
  ['propagation', '/', 'private'],
  ['bind', root.slot, root.target, `nodev,${noNewPrivileges ? 'nosuid' : '-nosuid'}`, 'directory', 'inside'],
]

const fileSystems = (
  spec: ContainerPlan,
  {
    placed,
    guests,
    files,
    maskSlot,
  }: { placed: Operation[]; guests: Operation[]; files: readonly Binding[]; maskSlot: string },
): Operation[] => [
  ...placed,
  ...deviceTree,
  ...spec.tmpfs.map(tmpfsMount),
  ...guests,
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
  ...sysctlWrites(spec.sysctls, {
    ownNetwork: spec.network.kind !== 'host',
    groups: spec.userNamespace?.size,
  }),
  ...(spec.privileged ? [] : covers(maskSlot)),
  sharedMemory(spec.shmSizeBytes),
]

const cgroupOperations = ({ moves }: CgroupJoin, views: readonly CgroupView[]): Operation[] => [
  ...moves,
  ['unshare', 'cgroup'],
  ...cgroupTree(views),
]

/** The namespaces that were made before: opened while their paths are in sight, entered later. */
const namespaces = ({ network, userNamespace }: ContainerPlan, slot: () => string) => {
  const [user, net] = [userNamespace ? slot() : undefined, network.kind === 'join' ? slot() : undefined]
  const opened: Operation[] = []
  if (user !== undefined && userNamespace) opened.push(['owner', user, userNamespace.ownerOf])
  if (net !== undefined && network.kind === 'join') opened.push(['open', net, 'read', network.path])
  return {
    user,
    opened,
    enterUser: user === undefined ? [] : [['enter', 'user', user] as const],
    enterNetwork: net === undefined ? [] : [['enter', 'network', net] as const],
  }
}

/** Every call that makes the container from its root file system, in order. */
export const containerPlan = (
  spec: ContainerPlan,
  paths: BundlePaths,
  { cgroupMounts, filter, bindAllow = [] }: HostFacts,
): Operation[] => {
  const slot = createSlots()
  const command = commandOf(spec, spec.imageConfig)
  const { process, rootfs, network, userNamespace } = spec
  const fifo = slot()
  const groups = cgroupJoin(spec.cgroupDirectories, cgroupMounts, slot)
  const filtering = systemCallFilter(filter, slot, spec.process)
  const { user, opened, enterUser, enterNetwork } = namespaces(spec, slot)
  const root = { slot: slot(), source: rootfs, target: rootfs }
  const guests = guestMounts(spec, { bindAllow, slot, user })
  const access = spec.privileged ? 'rw' : 'ro'
  const early = [
    procMount(slot()),
    deviceMount(slot(), userNamespace?.hostID ?? 0),
    network.kind === 'host' ? hostSys(slot(), access) : sysMount(slot(), access),
  ]
  const files = [
    { slot: slot(), source: paths.hostname, target: '/etc/hostname' },
    { slot: slot(), source: paths.hosts, target: '/etc/hosts' },
    { slot: slot(), source: paths.resolver, target: '/etc/resolv.conf' },
  ]
  return [
    ...prologue(paths, fifo, { spec, groups }),
    ...opened,
    ...filtering.opened,
    ...rootTree(root, user),
    ...files.map(({ slot: number, source }): Operation => ['tree', number, source, 'single']),
    ...guests.opened,
    ...early.flatMap(({ outside }) => outside),
    ...enterUser,
    ['clone', 'pid', 'mount', 'uts', 'ipc', ...(network.kind === 'own' ? ['network'] : []), ...groups.birth],
    ['session'],
    ['keyring', spec.id],
    ['umask', '0'],
    ...enterNetwork,
    ...rootOperations(root, process.noNewPrivileges),
    ...early.flatMap(({ inside }) => inside),
    ['pivot', rootfs],
    ...becomeRoot(userNamespace),
    ...fileSystems(spec, {
      placed: early.map(({ place }) => place),
      guests: guests.placed,
      files,
      maskSlot: slot(),
    }),
    ...(process.terminal ? [['console', 'bind'] as const] : []),
    ['directory', command.cwd],
    ...(spec.readonlyRootfs ? [['remount', '/', 'ro'] as const] : []),
    ...cgroupOperations(groups, cgroupViews(spec.cgroupDirectories, cgroupMounts)),
    ['env', ...command.env],
    ...rlimits(process.rlimits),
    ...filtering.early,
    ...identity(command.user, process),
    ...commandOperations(command, fifo, filtering.late),
  ]
}

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
    ...commandOperations(request, fifo, filtering.late),
  ]
}

import type { BundlePaths, ContainerPlan } from './bundle.ts'
import { cgroupViews } from './cgroup-mounts.ts'
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
import { type HostFacts, cgroupJoin, commandOperations, openProgram, prologue } from './process-plan.ts'
import { becomeRoot, covers, identity, rlimits, sysctlWrites, systemCallFilter } from './restrictions.ts'

interface Binding {
  slot: string
  source: string
  target: string
}

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
    masks,
  }: {
    placed: Operation[]
    guests: Operation[]
    files: readonly Binding[]
    masks: ReturnType<typeof covers> | undefined
  },
): Operation[] => [
  ...placed,
  ...deviceTree,
  ...(masks ? [masks.source] : []),
  ...spec.tmpfs.map(tmpfsMount),
  ...guests,
  ...files.map(({ slot, target }): Operation => [
    'bind',
    slot,
    target,
    // Outside the container's quota: who asks for a root that cannot be written gets none of these either.
    `nosuid,nodev,noexec${spec.readonlyRootfs ? ',ro' : ''}`,
    'file',
    'apart',
  ]),
  ['hostname', spec.hostname],
  ...(spec.domainname ? [['domainname', spec.domainname] as const] : []),
  ...sysctlWrites(spec.sysctls, {
    ownNetwork: spec.network.kind !== 'host',
    groups: spec.userNamespace?.size,
  }),
  ...(masks?.placed ?? []),
  sharedMemory(spec.shmSizeBytes),
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

/** Every call that makes the container from its root file system, in order; its own command unless another is given. */
export const containerPlan = (
  spec: ContainerPlan,
  paths: BundlePaths,
  { cgroupMounts, filter, bare, bindAllow = [] }: HostFacts,
  command: Command = commandOf(spec, spec.imageConfig),
): Operation[] => {
  const slot = createSlots()
  const { process, rootfs, network, userNamespace } = spec
  const fifo = slot()
  const program = openProgram(command, slot)
  const groups = cgroupJoin(spec.cgroupDirectories, cgroupMounts, slot)
  const cgroups = cgroupTree(cgroupViews(spec.cgroupDirectories, cgroupMounts), slot)
  const filtering = systemCallFilter(filter, slot, spec.process)
  const { user, opened, enterUser, enterNetwork } = namespaces(spec, slot)
  const root = { slot: slot(), source: rootfs, target: bare ? paths.directory : rootfs }
  const guests = guestMounts(spec, { bindAllow, slot, user })
  const access = spec.privileged ? 'rw' : 'ro'
  const devices = slot()
  const early = [
    procMount(slot()),
    deviceMount(devices, userNamespace?.hostID ?? 0),
    network.kind === 'host' ? hostSys(slot(), access) : sysMount(slot(), access),
  ]
  const files = [
    { slot: slot(), source: paths.hostname, target: '/etc/hostname' },
    { slot: slot(), source: paths.hosts, target: '/etc/hosts' },
    { slot: slot(), source: paths.resolver, target: '/etc/resolv.conf' },
  ]
  return [
    ...prologue(paths, fifo, { spec, groups }),
    ...program.opened,
    ...opened,
    ...filtering.opened,
    ...rootTree(root, user),
    ...files.map(({ slot: number, source }): Operation => ['tree', number, source, 'single']),
    ...guests.opened,
    ...cgroups.opened,
    ...early.flatMap(({ outside }) => outside),
    ...(bare ? [['bare', bare] as const] : []),
    ...enterUser,
    ['clone', 'pid', 'mount', 'uts', 'ipc', ...(network.kind === 'own' ? ['network'] : []), ...groups.birth],
    ['session'],
    ['keyring', spec.id],
    ['umask', '0'],
    ...enterNetwork,
    ...rootOperations(root, process.noNewPrivileges),
    ...early.flatMap(({ inside }) => inside),
    ['pivot', root.target],
    ...becomeRoot(userNamespace),
    ...fileSystems(spec, {
      placed: early.map(({ place }) => place),
      guests: guests.placed,
      files,
      masks: spec.privileged ? undefined : covers(devices, slot),
    }),
    ...(process.terminal ? [['console', 'bind'] as const] : []),
    ['directory', command.cwd],
    ...(spec.readonlyRootfs ? [['remount', '/', 'ro'] as const] : []),
    ...groups.moves,
    ['unshare', 'cgroup'],
    ...cgroups.placed,
    ['env', ...command.env],
    ...rlimits(process.rlimits),
    ...filtering.early,
    ...identity(command.user, process),
    ...commandOperations(command, fifo, filtering.late, program.slot),
  ]
}

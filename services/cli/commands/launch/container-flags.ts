import type { Command } from 'commander'
import { collect, numeric } from '../option-values.ts'

/** The flags of `run` and `create` as commander hands them over, before any meaning is given to them. */
export interface ContainerFlags {
  id?: string
  name?: string
  env?: string[]
  envFile?: string[]
  workdir?: string
  user?: string
  memory?: string
  memorySwap?: string
  memoryReservation?: string
  cpus?: number
  cpuPeriod?: number
  cpuQuota?: number
  cpuShares?: number
  cpusetCpus?: string
  pidsLimit?: number
  blkioWeight?: number
  oomScoreAdj?: number
  ulimit?: string[]
  hostname?: string
  domainname?: string
  network?: string
  userns?: string
  interactive?: boolean
  tty?: boolean
  entrypoint?: string
  label?: string[]
  dns?: string[]
  dnsSearch?: string[]
  addHost?: string[]
  readOnly?: boolean
  tmpfs?: string[]
  volume?: string[]
  mount?: string[]
  shmSize?: string
  storageOpt?: string[]
  logOpt?: string[]
  sysctl?: string[]
  capAdd?: string[]
  capDrop?: string[]
  privileged?: boolean
  securityOpt?: string[]
  stopSignal?: string
  stopTimeout?: number
  restart?: string
  node?: string
  placement?: string
  constraint?: string[]
  reserveCpu?: number
  reserveMemory?: string
  /** Absent counts as true. */
  wait?: boolean
  quiet?: boolean
}

/** [flags, description], with `list` for flags that may be given again and `number` for numbers. */
type FlagRow = readonly [flags: string, description: string, kind?: 'list' | 'number']

const identity: readonly FlagRow[] = [
  ['--name <name>', 'name of the container'],
  ['--id <id>', 'id of the container; the same id and flags again answer the same container'],
  ['-l, --label <key=value>', 'set a label', 'list'],
  ['--restart <policy>', 'no, always, unless-stopped or on-failure[:n]'],
]

const processFlags: readonly FlagRow[] = [
  ['-e, --env <key=value>', 'set a variable; KEY alone passes it on', 'list'],
  ['--env-file <file>', 'read variables from a file', 'list'],
  ['-w, --workdir <directory>', 'working directory inside the container'],
  ['-u, --user <user>', 'user or uid, with :group or :gid'],
  ['--entrypoint <program>', "replace the image's entrypoint"],
  ['-i, --interactive', 'keep standard input open'],
  ['-t, --tty', 'give the container a terminal'],
  ['--stop-signal <signal>', 'signal that asks the container to stop'],
  ['--stop-timeout <seconds>', 'seconds to wait before killing', 'number'],
]

const limits: readonly FlagRow[] = [
  ['-m, --memory <bytes>', 'memory limit, as 512m'],
  ['--memory-swap <bytes>', 'memory and swap together; -1 is unlimited'],
  ['--memory-reservation <bytes>', 'memory soft limit'],
  ['--cpus <number>', 'processors that it may use, as 1.5', 'number'],
  ['--cpu-period <microseconds>', 'length of a scheduling period', 'number'],
  ['--cpu-quota <microseconds>', 'processor time in each period', 'number'],
  ['-c, --cpu-shares <number>', 'weight among other containers', 'number'],
  ['--cpuset-cpus <list>', 'processors that it may run on, as 0-1,3'],
  ['--pids-limit <number>', 'number of processes; -1 is unlimited', 'number'],
  ['--blkio-weight <number>', 'disk weight, 10 to 1000', 'number'],
  ['--oom-score-adj <number>', "the host's preference to kill it when out of memory", 'number'],
  ['--ulimit <name=soft[:hard]>', 'process limit, as nofile=256', 'list'],
]

const placementFlags: readonly FlagRow[] = [
  ['--node <name>', 'node to create it on'],
  ['--constraint <expression>', 'what its node must be, as node.labels.disk==ssd', 'list'],
  ['--placement <strategy>', 'spread or binpack'],
  ['--reserve-cpu <number>', 'processors that its node must have for it', 'number'],
  ['--reserve-memory <bytes>', 'memory that its node must have for it'],
  ['--no-wait', 'fail at once when no node has room'],
]

const networkFlags: readonly FlagRow[] = [
  ['-h, --hostname <name>', 'host name inside the container'],
  ['--domainname <name>', 'NIS domain name inside the container'],
  ['--network <mode>', 'bridge, none, host or lab'],
  ['--dns <address>', 'name server', 'list'],
  ['--dns-search <domain>', 'search domain', 'list'],
  ['--add-host <name:address>', 'line in /etc/hosts', 'list'],
]

const rootFlags: readonly FlagRow[] = [
  ['--userns <mode>', 'auto (ids of its own) or host'],
  ['--read-only', 'mount the root read-only'],
  ['--tmpfs <path[:options]>', 'mount a tmpfs', 'list'],
  ['-v, --volume <source:path[:ro]>', 'mount a volume, or a directory that the node allows', 'list'],
  ['--mount <key=value,...>', 'the same, as type=volume,source=data,target=/data,readonly', 'list'],
  ['--shm-size <bytes>', 'size of /dev/shm'],
  ['--storage-opt <size=bytes>', 'what the container may add to its image', 'list'],
  ['--log-opt <max-size=bytes>', 'what its log may take, 10m unless said otherwise', 'list'],
  ['--sysctl <name=value>', 'kernel parameter', 'list'],
  ['--cap-add <capability>', 'add a capability', 'list'],
  ['--cap-drop <capability>', 'drop a capability', 'list'],
  ['--privileged', 'all capabilities, nothing masked, root of the host'],
  ['--security-opt <option>', 'no-new-privileges[:false], seccomp=FILE or seccomp=unconfined', 'list'],
]

/** Adds the flags that `run` and `create` share. */
export const addContainerFlags = (command: Command): Command => {
  for (const [flags, description, kind] of [
    ...identity,
    ...processFlags,
    ...limits,
    ...placementFlags,
    ...networkFlags,
    ...rootFlags,
  ]) {
    if (kind === 'list') command.option(flags, description, collect)
    else if (kind === 'number') command.option(flags, description, numeric)
    else command.option(flags, description)
  }
  // What follows the image belongs to the container's command, flags included.
  return command
    .passThroughOptions()
    .argument('<image>', 'image to run')
    .argument('[command...]', 'command and its arguments')
}

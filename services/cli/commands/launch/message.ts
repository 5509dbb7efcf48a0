import { readFileSync } from 'node:fs'
import { ContainerCreate } from '../../../../shared/contracts/container-create.ts'
import { Failure, reasonOf } from '../../../../shared/failure.ts'
import { parseInput } from '../../../../shared/wire.ts'
import type { ContainerFlags } from './container-flags.ts'
import { keyValues } from './key-values.ts'
import { volumesOf } from './mounts.ts'

const ulimits = (values: readonly string[]): NonNullable<ContainerCreate['ulimits']> =>
  Object.fromEntries(
    values.map((value) => {
      const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(value)
      if (!match)
        throw new Failure(
          'invalid_message',
          `cannot use --ulimit "${value}": give it as name=soft[:hard], as nofile=256`,
        )
      const [, name = '', soft, hard = soft] = match
      return [name, soft === hard ? Number(soft) : { soft: Number(soft), hard: Number(hard) }]
    }),
  )

const entrypoint = (program: string | undefined): string[] | undefined =>
  program === undefined ? undefined : program === '' ? [] : [program]

/** As Docker's client: the file is the user's, its text is what the message carries, in one line. */
const withProfile = (option: string): string => {
  const file = /^seccomp=(?!unconfined$)(.+)$/.exec(option)?.[1]
  if (file === undefined) return option
  try {
    return `seccomp=${JSON.stringify(JSON.parse(readFileSync(file, 'utf8')))}`
  } catch (error) {
    throw new Failure('invalid_message', `cannot use --security-opt "${option}": ${reasonOf(error)}`, {
      cause: error,
    })
  }
}

const present = (message: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(message).filter(([, value]) => value !== undefined))

const placementOf = (flags: ContainerFlags): Record<string, unknown> => {
  const placement = present({
    node: flags.node,
    strategy: flags.placement,
    constraints: flags.constraint,
    wait: flags.wait === false ? false : undefined,
  })
  const reservations = present({ cpus: flags.reserveCpu, memory: flags.reserveMemory })
  const some = (part: object): boolean => Object.keys(part).length > 0
  return {
    placement: some(placement) ? placement : undefined,
    deploy: some(reservations) ? { resources: { reservations } } : undefined,
  }
}

/** What a launch is made of beside its flags. */
export interface LaunchTarget {
  image: string
  command: readonly string[]
  environment: readonly string[]
  start: boolean
}

/** The `container.create` message that flags and arguments mean: Compose's names for Docker's flags. Throws `Failure` (`invalid_message`). */
export const createMessage = (
  flags: ContainerFlags,
  { image, command, environment, start }: LaunchTarget,
): ContainerCreate =>
  parseInput(
    ContainerCreate,
    present({
      id: flags.id,
      name: flags.name,
      image,
      command: command.length > 0 ? command : undefined,
      entrypoint: entrypoint(flags.entrypoint),
      environment: environment.length > 0 ? environment : undefined,
      hostname: flags.hostname,
      domainname: flags.domainname,
      user: flags.user,
      working_dir: flags.workdir,
      tty: flags.tty,
      stdin_open: flags.interactive,
      labels: flags.label ? keyValues(flags.label) : undefined,
      cpus: flags.cpus,
      cpu_period: flags.cpuPeriod,
      cpu_quota: flags.cpuQuota,
      cpu_shares: flags.cpuShares,
      cpuset: flags.cpusetCpus,
      mem_limit: flags.memory,
      mem_reservation: flags.memoryReservation,
      memswap_limit: flags.memorySwap === '-1' ? -1 : flags.memorySwap,
      pids_limit: flags.pidsLimit,
      blkio_config: flags.blkioWeight === undefined ? undefined : { weight: flags.blkioWeight },
      ulimits: flags.ulimit ? ulimits(flags.ulimit) : undefined,
      oom_score_adj: flags.oomScoreAdj,
      cap_add: flags.capAdd,
      cap_drop: flags.capDrop,
      privileged: flags.privileged,
      security_opt: flags.securityOpt?.map(withProfile),
      read_only: flags.readOnly,
      tmpfs: flags.tmpfs,
      volumes: volumesOf(flags.volume, flags.mount),
      shm_size: flags.shmSize,
      storage_opt: flags.storageOpt ? keyValues(flags.storageOpt) : undefined,
      logging: flags.logOpt ? { options: keyValues(flags.logOpt) } : undefined,
      sysctls: flags.sysctl ? keyValues(flags.sysctl) : undefined,
      network_mode: flags.network,
      userns_mode: flags.userns,
      dns: flags.dns,
      dns_search: flags.dnsSearch,
      extra_hosts: flags.addHost,
      stop_signal: flags.stopSignal,
      stop_grace_period: flags.stopTimeout === undefined ? undefined : `${flags.stopTimeout}s`,
      restart: flags.restart,
      ...placementOf(flags),
      start: start ? undefined : false,
    }),
  )

import type { ContainerCreate } from '../../shared/contracts/container-create.ts'
import type { ContainerSpec } from '../../shared/contracts/container-spec.ts'
import { isUlid, withTag } from '../../shared/contracts/identity.ts'
import type { Resources } from '../../shared/contracts/oci.ts'
import { durationMs, quantity } from '../../shared/contracts/quantity.ts'
import { Failure } from '../../shared/failure.ts'
import { capabilitySet } from './capabilities.ts'
import { splitCommand } from './command-line.ts'
import { mountsOf } from './mounts.ts'
import { reservationOf } from './placement/request.ts'
import { type SecurityOptions, securityOptions } from './security-options.ts'

const rlimitNames = [
  'as',
  'core',
  'cpu',
  'data',
  'fsize',
  'locks',
  'memlock',
  'msgqueue',
  'nice',
  'nofile',
  'nproc',
  'rss',
  'rtprio',
  'rttime',
  'sigpending',
  'stack',
]

const listOf = <T>(value: T | T[] | undefined): T[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value]

const wordsOf = (value: string | string[] | undefined): string[] | undefined =>
  value === undefined || Array.isArray(value) ? value : splitCommand(value)

const bytesOf = (value: string | number | undefined): number | undefined =>
  value === undefined ? undefined : value === -1 ? -1 : quantity(value)

type Keyed = ContainerCreate['environment']

/** `KEY=value` lines; a key without a value has none to take from here and is left out. */
const pairsOf = (value: Keyed): [string, string][] => {
  if (value === undefined) return []
  const entries: [string, unknown][] = Array.isArray(value)
    ? value
        .filter((line) => line.includes('='))
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)])
    : Object.entries(value)
  return entries.filter(([, given]) => given !== null).map(([key, given]) => [key, String(given)])
}

const rlimitsOf = (ulimits: ContainerCreate['ulimits']) =>
  Object.entries(ulimits ?? {}).map(([key, value]) => {
    if (!rlimitNames.includes(key))
      throw new Failure('invalid_message', `ulimits.${key}: not one of ${rlimitNames.join(', ')}`)
    const { soft, hard } = typeof value === 'number' ? { soft: value, hard: value } : value
    if (hard !== -1 && (soft === -1 || soft > hard))
      throw new Failure('invalid_message', `ulimits.${key}: soft ${soft} is above hard ${hard}`)
    return { type: `RLIMIT_${key.toUpperCase()}`, soft, hard }
  })

const cpuOf = ({ cpus, cpu_period, cpu_quota, cpu_shares, cpuset }: ContainerCreate): Resources['cpu'] => {
  if (cpus !== undefined && cpu_quota !== undefined)
    throw new Failure('invalid_message', 'cpus and cpu_quota both limit the processor time: give one')
  const period = cpu_period ?? (cpus === undefined && cpu_quota === undefined ? undefined : 100_000)
  const quota = cpus === undefined ? cpu_quota : Math.round(Number(cpus) * (period ?? 100_000))
  return { period, quota, shares: cpu_shares, cpus: cpuset }
}

const memoryOf = ({ mem_limit, memswap_limit, mem_reservation }: ContainerCreate): Resources['memory'] => {
  const limit = bytesOf(mem_limit) || undefined
  const swap = bytesOf(memswap_limit)
  if (limit !== undefined && limit < 6 * 2 ** 20)
    throw new Failure('invalid_message', `mem_limit: ${mem_limit} is less than 6M, in which nothing starts`)
  if (swap !== undefined && swap !== -1 && (limit === undefined || swap < limit)) {
    throw new Failure(
      'invalid_message',
      `memswap_limit: ${memswap_limit} is memory and swap together: give mem_limit too, and not less than it`,
    )
  }
  return { limit, swap, reservation: bytesOf(mem_reservation) }
}

const blockIoOf = ({ blkio_config: config }: ContainerCreate): Resources['blockIO'] => {
  const rates = (given: { path: string; rate: string | number }[] | undefined) =>
    given?.map(({ path, rate }) => ({ path, rate: bytesOf(rate) ?? 0 }))
  return {
    weight: config?.weight,
    throttleReadBpsDevice: rates(config?.device_read_bps),
    throttleWriteBpsDevice: rates(config?.device_write_bps),
    throttleReadIOPSDevice: config?.device_read_iops,
    throttleWriteIOPSDevice: config?.device_write_iops,
  }
}

const processOf = (
  message: ContainerCreate,
  { noNewPrivileges }: SecurityOptions,
): ContainerSpec['process'] => ({
  terminal: message.tty ?? false,
  stdin: message.stdin_open ?? false,
  user: message.user ?? '',
  entrypoint: wordsOf(message.entrypoint),
  args: wordsOf(message.command),
  env: pairsOf(message.environment).map(([key, value]) => `${key}=${value}`),
  cwd: message.working_dir,
  rlimits: rlimitsOf(message.ulimits),
  capabilities: capabilitySet(message.privileged ? ['ALL'] : (message.cap_add ?? []), message.cap_drop ?? []),
  noNewPrivileges,
  oomScoreAdj: message.oom_score_adj,
})

/** The lab's container is wired by hand, in namespaces that root of the host has made; a privileged one is root of the host. */
const usernsModeOf = ({
  network_mode,
  privileged = false,
  userns_mode,
}: ContainerCreate): ContainerSpec['usernsMode'] => {
  const host = privileged ? 'privileged' : network_mode === 'lab' ? 'network_mode "lab"' : undefined
  if (host === undefined) return userns_mode ?? 'auto'
  if (userns_mode === 'auto')
    throw new Failure('unsupported', `userns_mode: ${host} means the user namespace of the host`)
  return 'host'
}

const autoRemoveOf = ({ auto_remove = false, restart = 'no' }: ContainerCreate): boolean => {
  if (!auto_remove || restart === 'no') return auto_remove
  throw new Failure('invalid_message', 'auto_remove and restart contradict each other: give one')
}

/** A container without a name is called by its id, and has no lease of it. */
const nameOf = ({ name = '' }: ContainerCreate, id: string): string => {
  if (name === id || !isUlid(name)) return name || id
  const reason = `name: "${name}" is the form of an id, by which only its own container is called; give another name`
  throw new Failure('invalid_message', reason)
}

/** The container a message asks for, in OCI shapes. Throws `Failure` (`invalid_message`) for what no schema can say. */
export const containerSpec = (
  message: ContainerCreate,
  { id, node, countLimits = false }: { id: string; node: string; countLimits?: boolean },
): ContainerSpec => {
  const security = securityOptions(message)
  const { mounts, tmpfs } = mountsOf(message.volumes)
  const cpu = cpuOf(message)
  const memory = memoryOf(message)
  const limits = { cpus: Math.max(0, (cpu?.quota ?? 0) / (cpu?.period ?? 1)), memory: memory?.limit ?? 0 }
  const reservation = reservationOf(message, limits, countLimits)
  return {
    id,
    node,
    name: nameOf(message, id),
    image: withTag(message.image),
    hostname: message.hostname ?? id.slice(0, 12),
    domainname: message.domainname,
    labels: Object.fromEntries(pairsOf(message.labels)),
    process: processOf(message, security),
    seccomp: security.seccomp,
    privileged: message.privileged ?? false,
    resources: {
      cpu,
      memory,
      pids: { limit: message.pids_limit || 2048 },
      blockIO: blockIoOf(message),
    },
    ...(reservation.cpus || reservation.memory ? { reservation } : {}),
    readonlyRootfs: message.read_only ?? false,
    rootSizeBytes: bytesOf(message.storage_opt?.size) ?? null,
    tmpfs: [...listOf(message.tmpfs), ...tmpfs],
    mounts,
    shmSizeBytes: bytesOf(message.shm_size) ?? 64 * 2 ** 20,
    sysctls: Object.fromEntries(pairsOf(message.sysctls)),
    networkMode: message.network_mode ?? 'bridge',
    usernsMode: usernsModeOf(message),
    dns: listOf(message.dns),
    dnsSearch: listOf(message.dns_search),
    extraHosts: message.extra_hosts ?? [],
    logSizeBytes: bytesOf(message.logging?.options?.['max-size']) ?? 10 * 2 ** 20,
    stopSignal: message.stop_signal ?? '',
    stopGraceMs: durationMs(message.stop_grace_period ?? '10s') ?? 10_000,
    restart: message.restart ?? 'no',
    autoRemove: autoRemoveOf(message),
    start: message.start ?? true,
    inject: message.trace?.inject ?? [],
  }
}

import { z } from 'zod'
import { ContainerId, ContainerName, ImageReference, NodeName } from './identity.ts'
import { UsernsMode } from './oci.ts'
import { ComposeVolume } from './mount.ts'
import { durationMs, longestWaitMs, quantity } from './quantity.ts'
import { NetworkMode } from './steps.ts'

const oneLine = z.string().regex(/^[^\0\n]*$/, 'holds no line break and no NUL')
const argument = z
  .string()
  .regex(/^[^\0]*$/, 'holds no NUL')
  .max(131_071, 'is at most 128 KiB (MAX_ARG_STRLEN)')

/** Less would be gone before anyone could read it. */
const leastLogBytes = 65_536

const bytes = z
  .union([z.string(), z.number().int().nonnegative()])
  .refine((value) => quantity(value) !== undefined, 'is a size in bytes, as 1048576, "512M" or "1g"')
const logSize = bytes.refine(
  (value) => (quantity(value) ?? 0) >= leastLogBytes,
  'is a size of at least 64k, as "10m"',
)
const duration = z
  .string()
  .refine((value) => durationMs(value) !== undefined, 'is a duration, as "10s" or "1m30s"')
  .refine((value) => (durationMs(value) ?? 0) <= longestWaitMs, 'is at most a day')

const cpus = z
  .union([z.number(), z.string().regex(/^\d+(\.\d+)?$/)])
  .refine(
    (value) => Number(value) >= 0.01 && Number(value) <= 1_000_000,
    'is at least 0.01 and at most 1000000',
  )
const constraints = z.array(z.string().max(512)).max(32).optional()

const command = z.union([argument, z.array(argument).max(4096)])
const keyed = (what: string) =>
  z.union([
    z.record(oneLine, z.union([argument, z.number(), z.boolean(), z.null()])),
    z.array(argument.regex(/^[^=]+(=|$)/, `is a list of ${what} as "KEY=value"`)),
  ])
const ulimit = z.union([
  z.number().int().min(-1),
  z.strictObject({ soft: z.number().int().min(-1), hard: z.number().int().min(-1) }),
])
const list = (item: z.ZodString) => z.union([item, z.array(item)])
const address = z.union([z.ipv4(), z.ipv6()])
const rate = z.strictObject({ path: oneLine, rate: bytes })
const operations = z.strictObject({ path: oneLine, rate: z.number().int().nonnegative() })

const BlkioConfig = z.strictObject({
  weight: z.number().int().min(10).max(1000).optional(),
  device_read_bps: z.array(rate).optional(),
  device_write_bps: z.array(rate).optional(),
  device_read_iops: z.array(operations).optional(),
  device_write_iops: z.array(operations).optional(),
})

/** Where in a launch to fail on purpose: `kill` ends the process that acts, `fail` makes the step answer an error. */
export const Injection = z.strictObject({
  step: z.string(),
  point: z.enum(['before-act', 'after-act', 'after-reply', 'before-undo', 'after-undo']),
  action: z.enum(['kill-service', 'kill-orchestrator', 'fail']),
})
export type Injection = z.infer<typeof Injection>

/** `container.create`: the attributes of a Compose service, with an id, a name and labels. */
export const ContainerCreate = z.strictObject({
  id: ContainerId.optional(),
  name: ContainerName.optional(),
  image: ImageReference,
  command: command.optional(),
  entrypoint: command.optional(),
  environment: keyed('variables').optional(),
  hostname: z
    .string()
    .regex(
      /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$/,
      'is a host name of at most 64 of A-Z, a-z, 0-9, "-" and "."',
    )
    .optional(),
  domainname: oneLine.max(64).optional(),
  user: oneLine.optional(),
  working_dir: oneLine.startsWith('/', 'is an absolute path').optional(),
  tty: z.boolean().optional(),
  stdin_open: z.boolean().optional(),
  labels: keyed('labels').optional(),
  cpus: cpus.optional(),
  cpu_period: z.number().int().min(1000).max(1_000_000).optional(),
  cpu_quota: z.number().int().min(-1).optional(),
  cpu_shares: z.number().int().min(2).max(262_144).optional(),
  cpuset: z
    .string()
    .regex(/^\d+(-\d+)?(,\d+(-\d+)?)*$/, 'is a list of processors, as "0-1,3"')
    .optional(),
  mem_limit: bytes.optional(),
  mem_reservation: bytes.optional(),
  memswap_limit: z.union([bytes, z.literal(-1)]).optional(),
  pids_limit: z.number().int().min(-1).optional(),
  blkio_config: BlkioConfig.optional(),
  ulimits: z.record(z.string(), ulimit).optional(),
  oom_score_adj: z.number().int().min(-1000).max(1000).optional(),
  cap_add: z.array(oneLine).optional(),
  cap_drop: z.array(oneLine).optional(),
  privileged: z.boolean().optional(),
  security_opt: z.array(oneLine).optional(),
  read_only: z.boolean().optional(),
  tmpfs: list(oneLine.startsWith('/', 'begins with an absolute path')).optional(),
  volumes: z.array(ComposeVolume).max(32).optional(),
  shm_size: bytes.optional(),
  /** `size`: what the container may add to its image. */
  storage_opt: z.strictObject({ size: bytes.optional() }).optional(),
  sysctls: keyed('kernel parameters').optional(),
  network_mode: NetworkMode.optional(),
  userns_mode: UsernsMode.optional(),
  dns: z.union([address, z.array(address)]).optional(),
  dns_search: list(oneLine).optional(),
  extra_hosts: z.array(oneLine.regex(/^[^:=]+[:=].+$/, 'is a list of "name:address"')).optional(),
  stop_signal: z
    .string()
    .regex(/^(SIG)?[A-Z0-9+-]+$/, 'is a signal, as "SIGTERM"')
    .optional(),
  stop_grace_period: duration.optional(),
  /** The container's log is a file on its host, of `max-size` at most. */
  logging: z
    .strictObject({
      driver: z.enum(['k8s-file', 'json-file', 'local']).optional(),
      options: z.strictObject({ 'max-size': logSize.optional() }).optional(),
    })
    .optional(),
  restart: z
    .string()
    .regex(
      /^(no|always|unless-stopped|on-failure(:\d+)?)$/,
      'is "no", "always", "unless-stopped" or "on-failure[:n]"',
    )
    .optional(),
  /** Delete the container once it has ended (Docker's `--rm`). */
  auto_remove: z.boolean().optional(),
  /** Compose's, of which a placement takes what a container reserves and what its node must be. */
  deploy: z
    .strictObject({
      resources: z
        .strictObject({
          reservations: z.strictObject({ cpus: cpus.optional(), memory: bytes.optional() }).optional(),
        })
        .optional(),
      placement: z.strictObject({ constraints }).optional(),
    })
    .optional(),
  placement: z
    .strictObject({
      node: NodeName.nullish(),
      strategy: z.enum(['spread', 'binpack']).optional(),
      /** Labels that the node must have. */
      labels: z.record(oneLine, oneLine).optional(),
      /** As Swarm's: `node.labels.disk==ssd`, `node.hostname!=a`. */
      constraints,
      /** false: fail at once where there is no room. */
      wait: z.boolean().optional(),
    })
    .optional(),
  /** false leaves the container created and waiting; the default starts it. */
  start: z.boolean().optional(),
  trace: z.strictObject({ inject: z.array(Injection).max(16).optional() }).optional(),
})
export type ContainerCreate = z.infer<typeof ContainerCreate>

/** `container.delete`: by id or by name; with `force: false` a running container is not touched. */
export const ContainerDelete = z
  .strictObject({
    id: ContainerId.optional(),
    name: ContainerName.optional(),
    force: z.boolean().default(true),
  })
  .refine(
    (message) => message.id !== undefined || message.name !== undefined,
    'give the id or the name of the container',
  )

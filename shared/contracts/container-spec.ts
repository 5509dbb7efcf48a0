import { z } from 'zod'
import { Injection } from './container-create.ts'
import { ContainerId, ContainerName, ImageReference } from './identity.ts'
import { Mount } from './mount.ts'
import { LogSize, Process, Resources, UsernsMode } from './oci.ts'
import { Seccomp } from './seccomp.ts'
import { NetworkMode } from './steps.ts'

/** A container as Dolly keeps it: OCI runtime-spec shapes, made once from the message that asked for it. */
export const ContainerSpec = z.object({
  id: ContainerId,
  name: ContainerName,
  node: z.string(),
  image: ImageReference,
  hostname: z.string(),
  domainname: z.string().optional(),
  labels: z.record(z.string(), z.string()),
  process: Process,
  resources: Resources,
  /** What it takes of its node's processors and bytes of memory, counted for placement; absent is nothing. */
  reservation: z.object({ cpus: z.number(), memory: z.number() }).optional(),
  readonlyRootfs: z.boolean(),
  rootSizeBytes: z.number().int().positive().nullable().default(null),
  tmpfs: z.array(z.string()),
  mounts: z.array(Mount).default([]),
  shmSizeBytes: z.number().int(),
  sysctls: z.record(z.string(), z.string()),
  networkMode: NetworkMode,
  usernsMode: UsernsMode.default('host'),
  seccomp: Seccomp.default('unconfined'),
  privileged: z.boolean().default(false),
  dns: z.array(z.string()),
  dnsSearch: z.array(z.string()),
  extraHosts: z.array(z.string()),
  logSizeBytes: LogSize,
  stopSignal: z.string(),
  stopGraceMs: z.number().int(),
  restart: z.string(),
  autoRemove: z.boolean().default(false),
  start: z.boolean(),
  inject: z.array(Injection).default([]),
})
export type ContainerSpec = z.infer<typeof ContainerSpec>

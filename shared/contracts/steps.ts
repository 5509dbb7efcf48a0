import { z } from 'zod'
import { stepContract } from './contract.ts'
import { ContainerId, ContainerName, ImageReference } from './identity.ts'
import { Mount } from './mount.ts'
import { Seccomp } from './seccomp.ts'
import { ImageConfig, LogSize, Process, Resources, UserNamespace, UsernsMode } from './oci.ts'

/** The container's name, which only one container of the fleet may have. */
export const name = stepContract('name', {
  service: 'orchestrator',
  input: z.object({ id: ContainerId, name: ContainerName }),
  output: z.object({}),
  undoInput: z.object({ id: ContainerId, name: ContainerName }),
})

/** The container's writable root, a snapshot of the image's subvolume, and its named volumes. */
export const storage = stepContract('storage', {
  service: 'storage',
  input: z.object({
    id: ContainerId,
    image: ImageReference,
    /** Bytes that the container may add to its image; null is the node's default. */
    rootSizeBytes: z.number().int().positive().nullable().default(null),
    /** Only the default keeps the container's processes from making subvolumes. */
    seccomp: Seccomp.default('unconfined'),
    mounts: z.array(Mount).default([]),
  }),
  output: z.object({
    rootfs: z.string(),
    imageDigest: z.string(),
    imageConfig: ImageConfig,
    /** Directory of each volume by its name. */
    volumes: z.record(z.string(), z.string()).default({}),
  }),
})

/** One cgroup per hierarchy of the host, with the limits written. */
export const cgroup = stepContract('cgroup', {
  service: 'cgroup',
  input: z.object({ id: ContainerId, resources: Resources }),
  output: z.object({
    cgroupsPath: z.string(),
    /** Directories to join by writing to their `cgroup.procs`, one per hierarchy. */
    cgroupDirectories: z.array(z.string()),
  }),
})

export const NetworkMode = z.enum(['bridge', 'none', 'host', 'lab'])

const NetworkInput = z.object({
  id: ContainerId,
  networkMode: NetworkMode,
  usernsMode: UsernsMode.default('host'),
  process: z.object({ capabilities: z.array(z.string()) }).default({ capabilities: [] }),
  dns: z.array(z.string()),
  dnsSearch: z.array(z.string()),
})

const NetworkOutput = z.object({
  /** Path of the network namespace to join; null is the host's own. */
  networkNamespace: z.string().nullable(),
  /** The container's user namespace, which owns its network namespace; null is the host's. */
  userNamespace: UserNamespace.nullable().default(null),
  /** `a.b.c.d/len`; null without a network of its own. */
  address: z.string().nullable(),
  gateway: z.string().nullable(),
  /** Host end of the veth pair. */
  hostInterface: z.string().nullable(),
  nameservers: z.array(z.string()),
  search: z.array(z.string()),
})

/** A named network namespace with a configured `eth0`, and the user namespace that owns it, made before the process that joins them. */
export const network = stepContract('network', {
  service: 'network',
  input: NetworkInput,
  output: NetworkOutput,
})

const Init = z.object({ pid: z.number().int(), startedAt: z.string() })

const namespaceInput = {
  id: ContainerId,
  /** The whole specification, kept on the host so that a container outlives the log that made it. */
  origin: z.record(z.string(), z.unknown()).optional(),
  hostname: z.string(),
  domainname: z.string().optional(),
  process: Process,
  seccomp: Seccomp.default('unconfined'),
  /** Nothing is masked or read-only; only where the node's configuration allows it. */
  privileged: z.boolean().default(false),
  readonlyRootfs: z.boolean(),
  tmpfs: z.array(z.string()),
  mounts: z.array(Mount).default([]),
  volumes: z.record(z.string(), z.string()).default({}),
  shmSizeBytes: z.number().int(),
  sysctls: z.record(z.string(), z.string()),
  extraHosts: z.array(z.string()),
  logSizeBytes: LogSize,
  stopSignal: z.string(),
  rootfs: z.string(),
  imageConfig: ImageConfig,
  cgroupsPath: z.string(),
  cgroupDirectories: z.array(z.string()),
}

/** Namespaces, root and the init process; with `start` the process runs when `do` returns: the saga's pivot. */
export const namespace = stepContract('namespace', {
  service: 'namespace',
  input: z.object({
    ...namespaceInput,
    start: z.boolean(),
    networkNamespace: z.string().nullable(),
    userNamespace: UserNamespace.nullable().default(null),
    address: z.string().nullable(),
    nameservers: z.array(z.string()),
    search: z.array(z.string()),
  }),
  output: Init,
  prepareVerb: 'prepare',
})

/** What the `namespace` step's monitor is started with, while the other steps are still being done. */
export const NamespacePreparation = z.object({
  id: ContainerId,
  process: Process.pick({ terminal: true, stdin: true }),
  logSizeBytes: LogSize,
})

/** The lab's own order, 1: init with an empty network namespace of its own, waiting. */
export const labNamespace = stepContract('lab-namespace', {
  service: 'namespace',
  verbs: ['unshare', 'undo'],
  input: z.object({ ...namespaceInput, dns: z.array(z.string()), dnsSearch: z.array(z.string()) }),
  output: Init,
})

/** The lab's own order, 2: the veth's peer is moved into the waiting process by its pid. */
export const labNetwork = stepContract('lab-network', {
  service: 'network',
  verbs: ['attach', 'detach'],
  input: z.object({ id: ContainerId, pid: z.number().int().optional() }),
  output: NetworkOutput.pick({ address: true, gateway: true, hostInterface: true }),
})

/** The lab's own order, 3: the waiting process runs its command. */
export const labStart = stepContract('lab-start', {
  service: 'namespace',
  verbs: ['start', 'stop-now'],
  input: z.object({ id: ContainerId, start: z.boolean() }),
  output: Init,
})

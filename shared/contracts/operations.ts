import { z } from 'zod'
import { operation } from './contract.ts'
import { ContainerId, ImageReference } from './identity.ts'
import { VolumeName } from './mount.ts'
import { ServiceStatus } from './node.ts'
import { ImageConfig } from './oci.ts'
import { Page } from './page.ts'
import { Base64 } from './streams.ts'

const Nothing = z.strictObject({})

export const Image = z.object({
  digest: z.string(),
  tags: z.array(z.string()),
  createdAt: z.string(),
  /** Bytes that its files take, before compression and sharing. */
  size: z.number(),
  config: ImageConfig,
})
export type Image = z.infer<typeof Image>

const UploadName = z.string().regex(/^[a-f0-9]{32}$/, 'is the name of an upload')

export const imageImport = operation('storage', 'image-import', {
  /** Of a tar made by `docker export`: at `path`, an absolute one on the service's host, or what was sent as `upload`. */
  input: z.object({
    reference: ImageReference,
    path: z.string().optional(),
    upload: UploadName.optional(),
    config: ImageConfig.default({}),
  }),
  output: Image,
})
/** Takes a piece of a tar; answers where the next belongs. */
export const imageUpload = operation('storage', 'image-upload', {
  input: z.object({ upload: UploadName, offset: z.number().int().nonnegative(), data: Base64 }),
  output: z.object({ offset: z.number() }),
})
export const imageList = operation('storage', 'image-list', {
  input: Nothing,
  output: z.object({ images: z.array(Image) }),
})
export const imageRemove = operation('storage', 'image-rm', {
  input: z.object({ reference: z.string() }),
  output: z.object({ untagged: z.array(z.string()), deleted: z.array(z.string()) }),
})

export const Volume = z.object({
  name: z.string(),
  /** Its directory on the host, which only root may enter. */
  mountpoint: z.string(),
  createdAt: z.string(),
  /** Bytes that it may hold; null is unlimited. */
  sizeBytes: z.number().nullable(),
  labels: z.record(z.string(), z.string()),
  /** Containers that have it, running or not. */
  containers: z.array(z.string()),
})
export type Volume = z.infer<typeof Volume>

/** The volume of the name: the one that is there, or a new one. */
export const volumeCreate = operation('storage', 'volume-create', {
  input: z.object({
    name: VolumeName,
    sizeBytes: z.number().int().positive().nullable().default(null),
    labels: z.record(z.string(), z.string()).default({}),
  }),
  output: Volume,
})
export const volumeList = operation('storage', 'volume-list', {
  input: Nothing,
  output: z.object({ volumes: z.array(Volume) }),
})
export const volumeInspect = operation('storage', 'volume-inspect', {
  input: z.object({ name: VolumeName }),
  output: Volume,
})
/** Deletes it with its content; refused with `conflict` while a container has it. */
export const volumeRemove = operation('storage', 'volume-rm', {
  input: z.object({ name: VolumeName }),
  output: z.object({ name: z.string() }),
})

export const ProcessState = z.object({
  status: z.enum(['absent', 'created', 'running', 'paused', 'stopped']),
  pid: z.number().int().optional(),
  startedAt: z.string().optional(),
  exitCode: z.number().int().optional(),
  oomKilled: z.boolean().optional(),
  finishedAt: z.string().optional(),
  /** Nobody saw how it ended: its monitor was killed before it, or the host went down. */
  lost: z.boolean().optional(),
})
export type ProcessState = z.infer<typeof ProcessState>

export const processState = operation('namespace', 'state', {
  input: z.object({ id: ContainerId }),
  output: ProcessState,
})
/** Makes a new init in the same resources when it has exited, which waits for its start. */
export const processInit = operation('namespace', 'init', {
  input: z.object({ id: ContainerId }),
  output: ProcessState,
})
/** Runs init's command when it waits, or makes a new init in the same resources when it has exited. */
export const processStart = operation('namespace', 'start', {
  input: z.object({ id: ContainerId }),
  output: ProcessState,
})
export const processKill = operation('namespace', 'kill', {
  input: z.object({ id: ContainerId, signal: z.string() }),
  output: ProcessState,
})
/** Sends the signal, waits `graceMs`, then kills; answers when init has exited. */
export const processStop = operation('namespace', 'stop', {
  input: z.object({
    id: ContainerId,
    signal: z.string().optional(),
    graceMs: z.number().int().nonnegative(),
  }),
  output: ProcessState,
})
export const processExec = operation('namespace', 'exec', {
  input: z.object({
    id: ContainerId,
    args: z.array(z.string()).min(1),
    env: z.array(z.string()).default([]),
    cwd: z.string().optional(),
    user: z.string().default(''),
    terminal: z.boolean().default(false),
    stdin: z.boolean().default(false),
  }),
  /** The process waits until `exec-start`, so that a client can attach first and miss nothing. */
  output: z.object({ execId: z.string(), attachSocket: z.string(), bundle: z.string() }),
})
export const execStart = operation('namespace', 'exec-start', {
  input: z.object({ id: ContainerId, execId: z.string() }),
  output: z.object({ pid: z.number().int() }),
})
/** Waits for the end of an exec (at most `timeoutMs`) and removes its bundle once it has ended. */
export const execWait = operation('namespace', 'exec-wait', {
  input: z.object({ id: ContainerId, execId: z.string(), timeoutMs: z.number().int().positive() }),
  output: z.object({ exitCode: z.number().int().nullable() }),
})

/** As the container's root sees it. */
const ContainerPath = z
  .string()
  .max(4096)
  .regex(/^\/[^\0]*$/, 'is an absolute path')
const FileName = z
  .string()
  .max(255)
  .regex(/^[^\0/]*$/, 'is the name of a file')

/** Packs what stands at `directory`/`name`. */
export const CopyOut = z.strictObject({
  direction: z.literal('out'),
  directory: ContainerPath,
  name: FileName.min(1),
  followLinks: z.boolean().default(false),
})
/** Unpacks at `path` what comes. */
export const CopyIn = z.strictObject({
  direction: z.literal('in'),
  path: ContainerPath,
  /** What the tar has: the content of a directory, one file, or anything. */
  kind: z.enum(['directory', 'file', 'stream']),
  /** What the directory or file is called where it comes from. */
  name: FileName.default(''),
  /** Into a directory that is there comes the content, not the directory itself. */
  content: z.boolean().default(false),
})
/** A tar goes through the process's standard streams; started and waited for as an exec is. */
export const processCopy = operation('namespace', 'copy', {
  input: z.discriminatedUnion('direction', [
    CopyOut.extend({ id: ContainerId }),
    CopyIn.extend({ id: ContainerId }),
  ]),
  output: processExec.output,
})

/** Holds every process of the container still; answers when the kernel shows them all frozen. */
export const cgroupPause = operation('cgroup', 'pause', {
  input: z.object({ id: ContainerId }),
  output: Nothing,
})
export const cgroupUnpause = operation('cgroup', 'unpause', {
  input: z.object({ id: ContainerId }),
  output: Nothing,
})

/** What a container was made from and what its init does, from the host alone: for a log that was lost. */
export const processOrigin = operation('namespace', 'origin', {
  input: z.object({ id: ContainerId }),
  output: z.object({ origin: z.record(z.string(), z.unknown()).nullable(), state: ProcessState }),
})

const Leak = z.object({ kind: z.string(), name: z.string(), container: z.string().nullable() })
export type Leak = z.infer<typeof Leak>

/** The objects under the stack's names that the service owns, with the container each belongs to, in pages. */
const Objects = Page.extend({ objects: z.array(Leak) })
/** A page begins behind an object, which may be a path. */
const ObjectsRequest = z.strictObject({ cursor: z.string().max(8192).optional() })
/** Removes the host-wide objects a service prepared (bridge, mount, parent cgroup); refuses with `busy` details while containers use them. */
const Release = z.object({ released: z.array(z.string()) })

export const objects = {
  storage: operation('storage', 'objects', { input: ObjectsRequest, output: Objects }),
  cgroup: operation('cgroup', 'objects', { input: ObjectsRequest, output: Objects }),
  network: operation('network', 'objects', { input: ObjectsRequest, output: Objects }),
  namespace: operation('namespace', 'objects', { input: ObjectsRequest, output: Objects }),
}
export const release = {
  storage: operation('storage', 'release', { input: Nothing, output: Release }),
  cgroup: operation('cgroup', 'release', { input: Nothing, output: Release }),
  network: operation('network', 'release', { input: Nothing, output: Release }),
  namespace: operation('namespace', 'release', { input: Nothing, output: Release }),
}

/** What a host service says of itself to operators (`host.<node>.<service>.info`). */
export const networkInfo = operation('network', 'info', {
  input: Nothing,
  output: z.object({ bridge: z.string(), subnet: z.string(), gateway: z.string() }),
})

/** How a service does and what it knows of its host: asked for each heartbeat. */
export const status = {
  storage: operation('storage', 'status', { input: Nothing, output: ServiceStatus }),
  cgroup: operation('cgroup', 'status', { input: Nothing, output: ServiceStatus }),
  network: operation('network', 'status', { input: Nothing, output: ServiceStatus }),
  namespace: operation('namespace', 'status', { input: Nothing, output: ServiceStatus }),
}

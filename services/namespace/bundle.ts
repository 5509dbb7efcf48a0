import {
  chownSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { z } from 'zod'
import type { labNamespace, namespace } from '../../shared/contracts/steps.ts'
import type { UserNamespace } from '../../shared/contracts/oci.ts'
import { errnoOf } from '../../shared/failure.ts'
import { type HostFiles, hostsFile, resolverFile } from './host-files.ts'
import { type Operation, encodePlan } from './operation.ts'

export type NamespaceInput = z.output<typeof namespace.input>
export type LabInput = z.output<typeof labNamespace.input>

/** Which network namespace init lives in: one made before, the host's, or an empty one of its own (the lab's way). */
export type NetworkChoice = { kind: 'join'; path: string } | { kind: 'host' } | { kind: 'own' }

/** What a container's processes are made from; kept in the bundle, so that a stopped one can start again. */
export interface ContainerPlan extends Omit<LabInput, 'dns' | 'dnsSearch'> {
  network: NetworkChoice
  userNamespace: UserNamespace | null
  address: string | null
  nameservers: string[]
  search: string[]
}

/** Every file of one bundle: a container's, or that of a process that was executed in one. */
export const bundlePaths = (directory: string) => ({
  directory,
  plan: join(directory, 'plan'),
  /** Made by the native program: tells a runtime that was started before its plan. */
  planFifo: join(directory, 'plan.fifo'),
  report: join(directory, 'report'),
  spec: join(directory, 'spec.json'),
  /** Init's pid and start time, written by the native program. */
  pid: join(directory, 'pid'),
  monitorPid: join(directory, 'monitor.pid'),
  monitorErrors: join(directory, 'monitor.log'),
  fifo: join(directory, 'start.fifo'),
  /** There once the start was asked for: a command that has run must not run again. */
  started: join(directory, 'started'),
  attach: join(directory, 'attach'),
  log: join(directory, 'container.log'),
  /** Which file the log was when it began: another one, and its beginning was dropped. */
  logOrigin: join(directory, 'log.origin'),
  hostname: join(directory, 'hostname'),
  hosts: join(directory, 'hosts'),
  resolver: join(directory, 'resolv.conf'),
  /** How init ended, and that this stands in the log. */
  exit: join(directory, 'exit.json'),
  reported: join(directory, 'exit.reported'),
  oomBaseline: join(directory, 'oom-kills'),
  execs: join(directory, 'execs'),
  exec: (execId: string) => join(directory, 'execs', execId),
})
export type BundlePaths = ReturnType<typeof bundlePaths>

/** The text of a file, or undefined when it is not there: looked for first, since to be refused takes six times as long. */
export const readIfThere = (file: string): string | undefined => {
  if (!statSync(file, { throwIfNoEntry: false })) return undefined
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined
    throw error
  }
}

/** Wakes the runtime that waits for the plan. With no FIFO, or nobody at it, none waits: it will find the plan. */
const tellOfPlan = (paths: BundlePaths): void => {
  let fd: number
  try {
    fd = openSync(paths.planFifo, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (['ENOENT', 'ENXIO'].includes(errnoOf(error) ?? '')) return
    throw error
  }
  try {
    writeSync(fd, 'p')
  } finally {
    closeSync(fd)
  }
}

/** Comes to its name whole: a runtime may be looking for it. */
const writePlan = (paths: BundlePaths, operations: readonly Operation[]): void => {
  writeFileSync(`${paths.plan}.new`, encodePlan(operations), { mode: 0o600 })
  renameSync(`${paths.plan}.new`, paths.plan)
  tellOfPlan(paths)
}

/** Keeps what the container is made from; whole or not at all, whenever this program dies. */
export const writeSpec = (paths: BundlePaths, spec: ContainerPlan): void => {
  writeFileSync(`${paths.spec}.new`, JSON.stringify(spec), { mode: 0o600 })
  renameSync(`${paths.spec}.new`, paths.spec)
}

/** Writes what a new container needs, the plan last. Synchronous: each file takes microseconds, the thread pool ten times as long. */
export const writeContainerBundle = (
  paths: BundlePaths,
  spec: ContainerPlan,
  operations: readonly Operation[],
): void => {
  const files: HostFiles = spec
  mkdirSync(paths.directory, { recursive: true, mode: 0o700 })
  writeSpec(paths, spec)
  writeFileSync(paths.hostname, `${spec.hostname}\n`)
  writeFileSync(paths.hosts, hostsFile(files))
  writeFileSync(paths.resolver, resolverFile(files))
  // Mounted as they are: the container's root may write to them, as in Docker.
  const owner = spec.userNamespace?.hostID
  if (owner !== undefined)
    for (const file of [paths.hostname, paths.hosts, paths.resolver]) chownSync(file, owner, owner)
  writePlan(paths, operations)
}

/** Writes what an executed process needs. */
export const writeExecBundle = (paths: BundlePaths, operations: readonly Operation[]): void => {
  mkdirSync(paths.directory, { recursive: true, mode: 0o700 })
  writePlan(paths, operations)
}

/** What containers had before these could be told. */
const before: Pick<
  ContainerPlan,
  'logSizeBytes' | 'mounts' | 'privileged' | 'seccomp' | 'userNamespace' | 'volumes'
> = {
  privileged: false,
  seccomp: 'unconfined',
  userNamespace: null,
  mounts: [],
  volumes: {},
  logSizeBytes: 10 * 2 ** 20,
}

/** What the container was made from, or undefined when there is no bundle. */
export const readSpec = (paths: BundlePaths): ContainerPlan | undefined => {
  const text = readIfThere(paths.spec)
  if (!text) return undefined
  try {
    return { ...before, ...(JSON.parse(text) as Omit<ContainerPlan, keyof typeof before>) }
  } catch (error) {
    // A crash in mid-write: the bundle is half made and no process can have come of it.
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** Removes all of a container's bundle but what it has written; answers false when it never was whole, and has written nothing. */
export const keepOnlyLog = (paths: BundlePaths): boolean => {
  if (readIfThere(paths.logOrigin) === undefined) return false
  const kept = [paths.log, paths.logOrigin].map((path) => basename(path))
  for (const name of readdirSync(paths.directory))
    if (!kept.includes(name)) rmSync(join(paths.directory, name), { recursive: true, force: true })
  return true
}

const stillInUse = new Set(['EBUSY', 'ENOTEMPTY'])

/** Retries: the monitor that is ending, or the watcher of exits, may still put a file there. */
export const removeBundle = async (paths: BundlePaths): Promise<void> => {
  try {
    // Synchronous: twenty small files take a tenth of the time that the thread pool does.
    rmSync(paths.directory, { recursive: true, force: true })
  } catch (error) {
    if (!stillInUse.has(errnoOf(error) ?? '')) throw error
    await rm(paths.directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 5 })
  }
}

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { Failure } from '../../shared/failure.ts'
import { requireNoHostRoot } from '../../shared/host-root.ts'
import type { ProcessState } from '../../shared/contracts/operations.ts'
import type { Recorder } from '../../shared/recorder.ts'
import type { Context } from '../../shared/service.ts'
import {
  type BundlePaths,
  type ContainerPlan,
  type LabInput,
  type NamespaceInput,
  readSpec,
  writeContainerBundle,
  writeSpec,
} from './bundle.ts'
import { oomKills } from './cgroup-state.ts'
import { reportExit } from './exit-status.ts'
import type { NamespaceHost } from './host.ts'
import { hostNameservers } from './host-files.ts'
import { forgetRun, launch, release } from './launch.ts'
import { makeLogRoom, noteLogOrigin } from './log-file.ts'
import { bareNamespace, monitorOf } from './monitor.ts'
import { containerPlan } from './plan.ts'
import { launchOf, takePrepared } from './prepared-launch.ts'
import { type Init, isAlive, readInit } from './process-identity.ts'
import { removeRun } from './removal.ts'
import { stateOf } from './state.ts'

/** The step's input as a plan's: it joins the network namespace that was made for it. */
export const planOf = ({ networkNamespace, ...spec }: NamespaceInput): ContainerPlan => ({
  ...spec,
  network: networkNamespace === null ? { kind: 'host' } : { kind: 'join', path: networkNamespace },
})

/** The lab's input as a plan's: an empty network namespace of its own, to be furnished later. */
export const labPlanOf = ({ dns, dnsSearch, ...spec }: LabInput): ContainerPlan => ({
  ...spec,
  network: { kind: 'own' },
  userNamespace: null,
  address: null,
  nameservers: dns.length > 0 ? dns : hostNameservers(),
  search: dnsSearch,
})

const make = async (
  host: NamespaceHost,
  record: Recorder,
  spec: ContainerPlan,
  prepared?: Promise<string | undefined>,
): Promise<Init> => {
  const { process, cgroupDirectories } = spec
  const paths = host.paths(spec.id)
  const filter = await host.filters.fileOf(record, spec.seccomp, process.capabilities)
  const plan = containerPlan(spec, paths, {
    cgroupMounts: host.cgroupMounts,
    filter,
    bare: bareNamespace(host.monitor),
    bindAllow: host.bindAllow,
  })
  const kills = oomKills(cgroupDirectories)
  makeLogRoom(paths, spec.logSizeBytes)
  await record.call(`mkdir -p ${paths.directory}`, () => {
    mkdirSync(paths.directory, { recursive: true, mode: 0o700 })
    // The counter is the cgroup's, which outlives a run.
    if (kills > 0) writeFileSync(paths.oomBaseline, String(kills), { mode: 0o600 })
    writeContainerBundle(paths, spec, plan)
  })
  const init = await launch(host.monitor, record, {
    request: launchOf(host, spec),
    prepared,
    plan,
    where: `container ${spec.id}`,
    userNamespace: spec.userNamespace,
  })
  noteLogOrigin(paths)
  return init
}

/** A container that is whole: its init lives under its monitor, or has run and ended. */
const wholeInit = (paths: BundlePaths): Init | undefined => {
  const init = readInit(paths.pid)
  if (!init || !readSpec(paths)) return undefined
  return (isAlive(init) && monitorOf(paths) !== undefined) || existsSync(paths.started) ? init : undefined
}

/**
 * The container's init, waiting or already started: the same one however often it is asked for. What
 * an interrupted launch left is removed first, and so is what this one leaves when it fails.
 */
export const ensureInit = async (
  host: NamespaceHost,
  record: Recorder,
  spec: ContainerPlan,
): Promise<Init> => {
  requireNoHostRoot(
    { ...spec, ...spec.process },
    { ownIds: spec.userNamespace !== null, allowed: host.allowPrivileged },
  )
  const paths = host.paths(spec.id)
  const remove = () => removeRun(host, record, spec.id)
  const whole = wholeInit(paths)
  if (whole) {
    // A reboot may have given it other ids; the next run shall have them.
    if (!isAlive(whole)) writeSpec(paths, spec)
    return whole
  }
  const prepared = takePrepared(host, spec.id)
  if (!prepared && existsSync(paths.directory)) await remove()
  try {
    return await make(host, record, spec, prepared)
  } catch (error) {
    await remove()
    throw error
  }
}

/** Runs the waiting command; one that has been started already is left alone. */
export const startOnce = async (host: NamespaceHost, record: Recorder, id: string): Promise<void> => {
  const paths = host.paths(id)
  if (existsSync(paths.started) && stateOf(host, id).status !== 'created') return
  await release(record, paths)
}

const absent = (id: string): Failure =>
  new Failure('not_found', `cannot start container ${id}: it does not exist on this host`)

/** Makes a new init, which waits for its start, in the resources of one that has ended; one that lives is left alone. */
export const initContainer = async (
  host: NamespaceHost,
  context: Context,
  id: string,
): Promise<ProcessState> => {
  const state = stateOf(host, id)
  if (state.status === 'absent') throw absent(id)
  if (state.status !== 'stopped') return state
  if (state.exitCode === undefined)
    throw new Failure('busy', `cannot start container ${id}: how it ended is not known yet`)
  const paths = host.paths(id)
  const spec = readSpec(paths)
  if (!spec) throw absent(id)
  // What is about to be forgotten must stand in the log first.
  await reportExit(host, id, context)
  forgetRun(paths, host.exitFile(id))
  await make(host, context.record, spec)
  return stateOf(host, id)
}

/** Runs init's command when it waits, or makes a new init in the same resources when it has ended. */
export const startContainer = async (
  host: NamespaceHost,
  context: Context,
  id: string,
): Promise<ProcessState> => {
  const { status } = await initContainer(host, context, id)
  if (status === 'created') await release(context.record, host.paths(id))
  return stateOf(host, id)
}

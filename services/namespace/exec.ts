import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { z } from 'zod'
import type { processExec } from '../../shared/contracts/operations.ts'
import { Failure } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { waitFor } from './bounded-wait.ts'
import {
  type BundlePaths,
  type ContainerPlan,
  bundlePaths,
  readIfThere,
  readSpec,
  removeBundle,
  writeExecBundle,
} from './bundle.ts'
import { commandOf, mergeEnvironment } from './command.ts'
import type { NamespaceHost } from './host.ts'
import { launch, release } from './launch.ts'
import type { Operation } from './operation.ts'
import { endLaunchers, launchersOf, monitorOf } from './monitor.ts'
import { execPlan } from './exec-plan.ts'
import { isAlive, readInit } from './process-identity.ts'
import { stateOf } from './state.ts'

type ExecInput = z.output<typeof processExec.input>

const execIdPattern = /^[a-f0-9]{16}$/

/** The bundle of an exec or a copy. Throws `Failure` (`not_found`). */
export const execPaths = (host: NamespaceHost, id: string, execId: string): BundlePaths => {
  const paths = bundlePaths(host.paths(id).exec(execId))
  if (execIdPattern.test(execId) && readIfThere(paths.plan) !== undefined) return paths
  throw new Failure('not_found', `cannot find exec ${execId} in container ${id}`)
}

/** Ends an exec, if it still runs, and removes its bundle. */
export const discardExec = async (paths: BundlePaths): Promise<void> => {
  await endLaunchers(launchersOf(paths), paths, 0)
  await removeBundle(paths)
}

interface Beside {
  verb: 'exec' | 'copy'
  /** Whose namespaces it joins; undefined when it has its own. */
  init: number | undefined
  execId: string
  paths: BundlePaths
  spec: ContainerPlan
  plan: readonly Operation[]
  terminal: boolean
  stdin: boolean
}

/** Whether a process beside the init can still be made: its namespaces, and its bundle, go with the container. */
const isAsBefore = (host: NamespaceHost, id: string, init: number | undefined): boolean => {
  if (host.makings.isGoing(id) || !readSpec(host.paths(id))) return false
  const { status, pid } = stateOf(host, id)
  return init === undefined || (pid === init && status !== 'stopped')
}

/**
 * Makes a process of a container beside its init, with a monitor and a bundle of its own; nothing is left when it
 * fails. Throws `Failure`, `conflict` when the container has ended or is removed meanwhile.
 */
export const launchBeside = async (
  host: NamespaceHost,
  record: Recorder,
  { verb, init, execId, paths, spec, plan, terminal, stdin }: Beside,
): Promise<void> => {
  const { id, logSizeBytes, userNamespace } = spec
  const ended = (cause?: unknown) =>
    new Failure('conflict', `cannot ${verb} in container ${id}: it ended meanwhile`, { cause })
  if (!isAsBefore(host, id, init)) throw ended()
  const make = async () => {
    try {
      writeExecBundle(paths, plan)
      await launch(host.monitor, record, {
        request: { id: execId, paths, exitDirectory: paths.directory, terminal, stdin, logSizeBytes },
        plan,
        where: `container ${id}`,
        userNamespace,
      })
    } catch (error) {
      await discardExec(paths)
      throw isAsBefore(host, id, init) ? error : ended(error)
    }
  }
  await host.makings.make(id, make)
}

/** Makes one more process in a running container; it waits until `startExec`, so that a client can attach first. */
export const makeExec = async (host: NamespaceHost, record: Recorder, input: ExecInput) => {
  const { id, terminal, stdin } = input
  const state = stateOf(host, id)
  const spec = readSpec(host.paths(id))
  if (!spec || state.pid === undefined) {
    throw new Failure('not_found', `cannot exec in container ${id}: it does not exist on this host`)
  }
  if (state.status !== 'running')
    throw new Failure('conflict', `cannot exec in container ${id}: it is ${state.status}`)
  const execId = randomBytes(8).toString('hex')
  const paths = bundlePaths(host.paths(id).exec(execId))
  const own = commandOf(spec, spec.imageConfig)
  const command = {
    args: input.args,
    env: mergeEnvironment(own.env, terminal ? ['TERM=xterm'] : [], input.env),
    cwd: input.cwd || own.cwd,
    user: input.user || own.user,
  }
  const filter = await host.filters.fileOf(record, spec.seccomp, spec.process.capabilities)
  const facts = { cgroupMounts: host.cgroupMounts, filter }
  const plan = execPlan({ ...command, pid: state.pid, terminal }, spec, paths, facts)
  const beside = { verb: 'exec', init: state.pid, execId, paths, spec, plan, terminal, stdin } as const
  await launchBeside(host, record, beside)
  return { execId, attachSocket: paths.attach, bundle: paths.directory }
}

/** Runs the waiting process's command. */
export const startExec = async (host: NamespaceHost, record: Recorder, id: string, execId: string) => {
  const paths = execPaths(host, id, execId)
  const init = readInit(paths.pid)
  if (!init || !(await release(record, paths))) {
    throw new Failure('conflict', `cannot start exec ${execId} in container ${id}: it does not wait`)
  }
  return { pid: init.pid }
}

const unknownStatus = 255

/** The exit code of an exec; undefined while it runs, 255 when nobody knows it. */
export const statusOf = (paths: BundlePaths, execId: string): number | undefined => {
  const supervised = monitorOf(paths) !== undefined
  const text = readIfThere(join(paths.directory, execId))?.trim()
  if (text && /^\d+$/.test(text)) return Number(text)
  const init = readInit(paths.pid)
  return supervised || (init && isAlive(init)) ? undefined : unknownStatus
}

/** Waits for an exec's end, and removes its bundle then; null when it has not ended in time. */
export const waitExec = async (host: NamespaceHost, id: string, execId: string, timeoutMs: number) => {
  const paths = execPaths(host, id, execId)
  const exitCode = await waitFor(() => statusOf(paths, execId), timeoutMs)
  if (exitCode === undefined) return { exitCode: null }
  const monitor = monitorOf(paths)
  if (monitor !== undefined) await endLaunchers([monitor], paths)
  await removeBundle(paths)
  return { exitCode }
}

import { Failure } from '../../shared/failure.ts'
import type { ProcessState } from '../../shared/contracts/operations.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { waitFor } from './bounded-wait.ts'
import { type ContainerPlan, readSpec } from './bundle.ts'
import { thaw } from './cgroup-state.ts'
import type { NamespaceHost } from './host.ts'
import { type Init, isAlive, readInit, signalProcess } from './process-identity.ts'
import { endContainer } from './removal.ts'
import { signalNumber } from './signal.ts'
import { stateOf } from './state.ts'

const livingInit = (host: NamespaceHost, id: string, verb: string): { init: Init; spec: ContainerPlan } => {
  const paths = host.paths(id)
  const [init, spec] = [readInit(paths.pid), readSpec(paths)]
  if (!init || !spec)
    throw new Failure('not_found', `cannot ${verb} container ${id}: it does not exist on this host`)
  if (!isAlive(init)) throw new Failure('conflict', `cannot ${verb} container ${id}: it is stopped`)
  return { init, spec }
}

/** Sends a signal to init. After SIGKILL it answers when init has ended. */
export const killContainer = async (
  host: NamespaceHost,
  record: Recorder,
  { id, signal }: { id: string; signal: string },
): Promise<ProcessState> => {
  const number = signalNumber(signal)
  const { init } = livingInit(host, id, 'kill')
  if (number === 9) await endContainer(host, record, id, init)
  else await record.call(`kill -${number} ${init.pid}`, () => signalProcess(init, number))
  return stateOf(host, id)
}

/** Sends the stop signal, waits, then kills; answers when init has ended. A stopped container is left alone. */
export const stopContainer = async (
  host: NamespaceHost,
  record: Recorder,
  { id, signal, graceMs }: { id: string; signal?: string | undefined; graceMs: number },
): Promise<ProcessState> => {
  const before = stateOf(host, id)
  if (before.status === 'stopped') return before
  const { init, spec } = livingInit(host, id, 'stop')
  const number = signalNumber(signal || spec.stopSignal || spec.imageConfig.StopSignal || 'SIGTERM')
  // A command that has not begun has nothing to put in order.
  if (before.status !== 'created') {
    thaw(spec.cgroupDirectories)
    await record.call(`kill -${number} ${init.pid}`, () => signalProcess(init, number))
    await waitFor(() => (isAlive(init) ? undefined : true), graceMs)
  }
  await endContainer(host, record, id, init)
  return stateOf(host, id)
}

import type { Container } from '../../shared/contracts/container.ts'
import type { ContainerSpec } from '../../shared/contracts/container-spec.ts'
import { Failure } from '../../shared/failure.ts'
import { createContainer, createLabContainer } from './create-container.ts'
import type { Executor } from './saga/perform.ts'
import type { Step } from './saga/definition.ts'

const stepTimeoutMs = 60_000

const definitionOf = ({ networkMode }: Pick<ContainerSpec, 'networkMode'>) =>
  networkMode === 'lab' ? createLabContainer : createContainer

/** Steps in an order in which each comes after those it needs, those that are ready together in one group. */
const layers = (steps: readonly Step[]): Step[][] => {
  const done = new Set<string>()
  const result: Step[][] = []
  for (
    let left = [...steps];
    left.length > 0;
    left = left.filter(({ contract }) => !done.has(contract.name))
  ) {
    const layer = left.filter(({ needs }) => needs.every(({ name }) => done.has(name)))
    for (const { contract } of layer) done.add(contract.name)
    result.push(layer)
  }
  return result
}

/**
 * Does every step of a container again: what is there stays, what the kernel has lost is made anew. The
 * journal already says that all of it may exist, so nothing new is promised. `fence` is the sequence of the
 * log it was decided on. Throws `Failure`.
 */
export const restoreSteps = async (executor: Executor, spec: ContainerSpec, fence: number): Promise<void> => {
  const signal = AbortSignal.timeout(stepTimeoutMs)
  let known: Record<string, unknown> = { ...spec, start: false }
  for (const layer of layers(definitionOf(spec).steps)) {
    const outputs = await Promise.all(
      layer.map(({ contract }) =>
        executor.act({
          contract,
          direction: 'do',
          input: known,
          fence,
          first: false,
          timeoutMs: stepTimeoutMs,
          signal,
        }),
      ),
    )
    known = Object.assign({}, known, ...outputs.map(({ output }) => output))
  }
}

const nothing = {
  rootfs: '/',
  imageDigest: '',
  imageConfig: {},
  cgroupsPath: '/',
  cgroupDirectories: [],
  networkNamespace: null,
  address: null,
  nameservers: [],
  search: [],
}

/** Undoes every step of a container by its id alone, reverse to the order of needs; answers which. Throws `AggregateError`. */
export const undoSteps = async (
  executor: Executor,
  spec: ContainerSpec,
  fence: number,
): Promise<string[]> => {
  const signal = AbortSignal.timeout(stepTimeoutMs)
  const failures: unknown[] = []
  const removed: string[] = []
  for (const layer of layers(definitionOf(spec).steps).toReversed()) {
    for (const { contract } of layer) {
      const request = {
        contract,
        direction: 'undo' as const,
        input: { ...nothing, ...spec },
        fence,
        first: false,
        timeoutMs: stepTimeoutMs,
        signal,
      }
      await executor.act(request).then(
        () => removed.push(contract.name),
        (error: unknown) => failures.push(error),
      )
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, `cannot undo all of ${spec.id}`)
  return removed
}

/** Whether the restart policy wants this container, which has ended, to run again. */
export const wantsRestart = ({
  spec,
  exitCode,
  stoppedByUser,
  restarts = 0,
}: Pick<Container, 'spec' | 'exitCode' | 'stoppedByUser' | 'restarts'>): boolean => {
  if (stoppedByUser) return false
  const [policy, limit] = spec.restart.split(':')
  if (policy === 'always' || policy === 'unless-stopped') return true
  return policy === 'on-failure' && exitCode !== 0 && (limit === undefined || restarts < Number(limit))
}

/** Milliseconds until the next restart: 100 doubling to a minute, as Docker's. */
export const restartDelayMs = (restarts: number): number =>
  Math.min(60_000, 100 * 2 ** Math.min(restarts, 10))

/** The container as it must be for an operator's verb on its saga. Throws `Failure` (`conflict`). */
export const requireStuck = (container: Container): Container => {
  if (container.status === 'stuck') return container
  throw new Failure('conflict', `container ${container.id} is ${container.status}, not stuck`)
}

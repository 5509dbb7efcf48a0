import type { ContainerSpec } from '../../shared/contracts/container-spec.ts'
import { Failure, reasonOf } from '../../shared/failure.ts'
import { createContainer, createLabContainer } from './create-container.ts'
import type { Step } from './saga/definition.ts'
import type { Executor } from './saga/perform.ts'

const stepTimeoutMs = 60_000

/** The saga that makes containers of this network mode. */
export const definitionOf = ({ networkMode }: Pick<ContainerSpec, 'networkMode'>) =>
  networkMode === 'lab' ? createLabContainer : createContainer

/** Steps in an order in which each comes after those of them it needs, those that are ready together in one group. */
const layers = (steps: readonly Step[]): Step[][] => {
  const names = steps.map(({ contract }) => contract.name)
  const done = new Set<string>()
  const result: Step[][] = []
  for (
    let left = [...steps];
    left.length > 0;
    left = left.filter(({ contract }) => !done.has(contract.name))
  ) {
    const layer = left.filter(({ needs }) =>
      needs.every(({ name }) => done.has(name) || !names.includes(name)),
    )
    for (const { contract } of layer) done.add(contract.name)
    result.push(layer)
  }
  return result
}

interface Redo {
  executor: Executor
  spec: ContainerSpec
  /** Sequence of the log it was decided on. */
  fence: number
  /** What steps that are not done again have answered. */
  known?: Record<string, unknown>
  /** How long each step may take. */
  timeoutMs?: number
}

/** Each request ends by its own time; the next one has all of its own. */
const limitsOf = ({ fence, timeoutMs = stepTimeoutMs }: Redo) => {
  return { fence, first: false, timeoutMs, signal: new AbortController().signal }
}

/**
 * Does steps of a container again, by default all: what is there stays, what the kernel has lost is made
 * anew. The journal already says that all of it may exist, so nothing new is promised. Answers what each
 * step answered. Throws `Failure`.
 */
export const redoSteps = async (
  redo: Redo,
  steps: readonly Step[] = definitionOf(redo.spec).steps,
): Promise<Record<string, Record<string, unknown>>> => {
  const { executor, spec, known: given } = redo
  const answers: Record<string, Record<string, unknown>> = {}
  const limits = limitsOf(redo)
  for (const layer of layers(steps)) {
    const known = Object.assign({ ...spec, start: false, ...given }, ...Object.values(answers))
    const done = layer.map(async ({ contract }) => {
      const { output } = await executor.act({ contract, direction: 'do', input: known, ...limits })
      answers[contract.name] = output
    })
    await Promise.all(done)
  }
  return answers
}

/** What undo's input must hold and undo does not look at: it works by the id. */
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

/** Every step that any container may have had: of a container that is gone nobody knows its network mode. */
const everyStep = [
  ...createContainer.steps,
  ...createLabContainer.steps.filter(
    ({ contract }) => !createContainer.steps.some((known) => known.contract.name === contract.name),
  ),
]

/** Undoes every step of a container by its id alone, reverse to the order of needs; answers which. Throws `Failure` with every reason. */
export const undoSteps = async (redo: Redo): Promise<string[]> => {
  const { executor, spec } = redo
  const limits = limitsOf(redo)
  const failures: string[] = []
  const undone: string[] = []
  const input = { ...nothing, ...spec }
  for (const layer of layers(everyStep).toReversed()) {
    for (const { contract } of layer) {
      try {
        await executor.act({ contract, direction: 'undo', input, ...limits })
        undone.push(contract.name)
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        failures.push(`${contract.name}: ${reasonOf(error)}`)
      }
    }
  }
  if (failures.length === 0) return undone
  throw new Failure('busy', `cannot remove all of ${spec.id}: ${failures.join('; ')}`, {
    details: { undone },
  })
}

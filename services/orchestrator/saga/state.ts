import type { SagaRecord, Transition } from '../../../shared/contracts/journal.ts'
import { Failure } from '../../../shared/failure.ts'
import type { Saga, Step } from './definition.ts'

export type StepStatus = 'idle' | Transition['status']

export interface StepState {
  status: StepStatus
  output?: Record<string, unknown>
  error?: { code: string; reason: string }
}

export type Outcome = Extract<SagaRecord, { kind: 'ended' }>['outcome']

/** What a saga's journal says; a pure function of its records. */
export interface SagaState {
  saga: string
  version: number
  input: Record<string, unknown>
  /** The run that drives it: the one that started or resumed last. */
  owner: string
  /** `forward` does, `backward` undoes, `ended` is at rest with an outcome. */
  phase: 'forward' | 'backward' | 'ended'
  outcome?: Outcome
  /** Why it goes backward. */
  cause?: { step?: string; code: string; reason: string }
  /** True once it has been at rest: undoing it is then a deletion, not a compensation. */
  rested: boolean
  deadline: number
  steps: Record<string, StepState>
  /** Number of the last record. */
  n: number
}

const backward = (state: SagaState, cause: NonNullable<SagaState['cause']>): SagaState =>
  state.phase === 'forward' ? { ...state, phase: 'backward', cause } : state

const transit = (state: SagaState, transition: Transition): SagaState => {
  const before = state.steps[transition.step] ?? { status: 'idle' as const }
  const after: StepState = { ...before, status: transition.status }
  if (transition.status === 'done') after.output = transition.output
  if ('error' in transition) after.error = transition.error
  const next = { ...state, steps: { ...state.steps, [transition.step]: after } }
  return transition.status === 'failed'
    ? backward(next, { step: transition.step, ...transition.error })
    : next
}

const rest = (state: SagaState, outcome: Outcome): SagaState => ({
  ...state,
  phase: 'ended',
  outcome,
  rested: true,
})

/** Backward from rest; what leaked before is tried again. */
const unwind = (state: SagaState, reason: string): SagaState => {
  const again = ([name, step]: [string, StepState]) => [
    name,
    step.status === 'leaked' ? { ...step, status: 'failed' as const } : step,
  ]
  const steps = Object.fromEntries(Object.entries(state.steps).map(again))
  return { ...state, steps, phase: 'backward', cause: state.cause ?? { code: 'deleted', reason } }
}

/** The state after one more record. Throws `Failure` (`invalid_message`) at a gap or a record that cannot follow. */
export const apply = (state: SagaState | undefined, record: SagaRecord): SagaState => {
  if (state && record.n !== state.n + 1) {
    throw new Failure('invalid_message', `record ${record.n} follows record ${state.n}: a record is missing`)
  }
  if (record.kind === 'started') {
    if (state && state.phase !== 'ended')
      throw new Failure('invalid_message', 'a saga begins before the last has ended')
    const { saga, version, input, owner, n, deadline } = record
    const fresh = {
      saga,
      version,
      input,
      owner,
      n,
      phase: 'forward' as const,
      rested: false,
      deadline: Date.parse(deadline),
      steps: {},
    }
    return record.transitions.reduce(transit, fresh)
  }
  if (!state) throw new Failure('invalid_message', `a journal cannot begin with "${record.kind}"`)
  if ((record.kind === 'progressed' || record.kind === 'ended') && record.owner !== state.owner) {
    throw new Failure(
      'invalid_message',
      `record ${record.n} is by ${record.owner}, who does not drive the saga`,
    )
  }
  const next = { ...state, n: record.n }
  switch (record.kind) {
    case 'resumed':
      return record.transitions.reduce(transit, { ...next, owner: record.owner })
    case 'progressed':
      return record.transitions.reduce(transit, next)
    case 'cancelled':
      return backward(next, { code: 'cancelled', reason: record.reason })
    case 'unwinding':
      return record.transitions.reduce(transit, unwind({ ...next, owner: record.owner }, record.reason))
    case 'ended':
      return rest(record.transitions.reduce(transit, next), record.outcome)
  }
}

const statusOf = (state: SagaState, name: string): StepStatus => state.steps[name]?.status ?? 'idle'

const settledBackward = new Set<StepStatus>(['idle', 'undone', 'skipped'])

/** Whether all that the step needs is done. */
const isGrounded = ({ needs }: Step, state: SagaState): boolean =>
  needs.every((need) => statusOf(state, need.name) === 'done')

const dependents = (definition: Saga, name: string): Step[] =>
  definition.steps.filter(({ needs }) => needs.some((need) => need.name === name))

/** Whether nothing that needs the step remains. */
const isBare = (definition: Saga, { contract }: Step, state: SagaState): boolean =>
  dependents(definition, contract.name).every((step) =>
    settledBackward.has(statusOf(state, step.contract.name)),
  )

/** Steps whose intent is in the journal and whose turn it is, in the order in which to begin them. */
export const ready = (definition: Saga, state: SagaState): Step[] => {
  const intended = (status: StepStatus) =>
    definition.steps.filter(({ contract: { name } }) => statusOf(state, name) === status)
  return state.phase === 'forward'
    ? intended('doing').filter((step) => isGrounded(step, state))
    : intended('undoing')
        .filter((step) => isBare(definition, step, state))
        .toReversed()
}

const unbegun: Record<SagaState['phase'], readonly StepStatus[]> = {
  forward: ['idle'],
  backward: ['doing', 'done', 'failed'],
  ended: ['doing', 'done', 'failed', 'leaked'],
}

/** Steps whose intent the journal lacks: to do them, or once it goes backward or is at rest to undo them. */
export const unintended = (definition: Saga, state: SagaState): Step[] =>
  definition.steps.filter(({ contract: { name } }) => unbegun[state.phase].includes(statusOf(state, name)))

/** Steps that were begun and are neither undone nor skipped: what is, or may be, still on the host. */
export const remaining = (definition: Saga, state: SagaState): Step[] =>
  definition.steps.filter(({ contract: { name } }) => !settledBackward.has(statusOf(state, name)))

/** Done steps that others, which are not, build on. */
export const groundwork = (definition: Saga, state: SagaState): Step[] =>
  definition.steps.filter(
    ({ contract: { name } }) =>
      state.phase === 'forward' &&
      statusOf(state, name) === 'done' &&
      dependents(definition, name).some((step) => statusOf(state, step.contract.name) !== 'done'),
  )

/** A step's input: the specification with the outputs of what it needs; the contract keeps what it asked for. */
export const inputOf = ({ needs }: Step, state: SagaState): Record<string, unknown> =>
  Object.assign({}, state.input, ...needs.map((need) => state.steps[need.name]?.output ?? {}))

import { Failure } from '../../../shared/failure.ts'
import type { Journal } from '../../../services/orchestrator/saga/journal.ts'
import type { Clock, Executor, StepRequest } from '../../../services/orchestrator/saga/perform.ts'
import { createRun } from '../../../services/orchestrator/saga/run.ts'
import { plainSaga, quickClock } from './memory.ts'

/** a and b need nothing, c needs a, d needs b and c. */
export const shape = [
  { name: 'a', needs: [] },
  { name: 'b', needs: [] },
  { name: 'c', needs: [0] },
  { name: 'd', needs: [1, 2] },
]

export type Act = (call: string, request: StepRequest) => void | Promise<void>

/** An executor that notes each call, then does what the test wants. */
export const recorded = (calls: string[], act: Act = () => undefined): Executor => ({
  act: async (request) => {
    const call = `${request.direction} ${request.contract.name}`
    calls.push(call)
    await act(call, request)
    return { output: { [request.contract.name]: calls.length }, transcript: [] }
  },
})

/** Fails the wanted calls, terminally. */
export const fail =
  (...wanted: string[]): Act =>
  (call) => {
    if (wanted.includes(call)) throw new Failure('system', `${call} failed`)
  }

/** A run of the saga above on a journal. */
export const setUp = async (
  executor: Executor,
  journal: Journal,
  owner = 'one',
  clock: Clock = quickClock(),
) => createRun({ definition: plainSaga(shape), journal, executor, clock, owner }, await journal.read())

const forward = ['do a', 'do b', 'do c', 'do d']

/** Which step fails, the exact calls that follow, and how the saga ends. */
export const failureTable = [
  { fails: [], calls: forward, outcome: 'completed' },
  { fails: ['do a'], calls: ['do a', 'do b', 'undo b', 'undo a'], outcome: 'compensated' },
  { fails: ['do b'], calls: ['do a', 'do b', 'undo b', 'undo a'], outcome: 'compensated' },
  { fails: ['do c'], calls: ['do a', 'do b', 'do c', 'undo c', 'undo b', 'undo a'], outcome: 'compensated' },
  { fails: ['do d'], calls: [...forward, 'undo d', 'undo c', 'undo b', 'undo a'], outcome: 'compensated' },
] as const

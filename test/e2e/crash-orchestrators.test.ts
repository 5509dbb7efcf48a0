import test from 'ava'
import { createContainer, createLabContainer } from '../../services/orchestrator/create-container.ts'
import { patienceMs } from '../../shared/patience.ts'
import {
  liveThrough,
  proveExactness,
  startFaultyStack,
  summaryOf,
  takeoverTimes,
} from '../helpers/fault-matrix.ts'
import { moreOrchestrators } from '../helpers/fault-processes.ts'
import { matrixSample } from '../helpers/matrix-sample.ts'

const sagas = { bridge: createContainer, lab: createLabContainer }
const points = ['before-act', 'after-act', 'after-reply', 'before-undo', 'after-undo'] as const
/** The acknowledgement wait, and as much again and more for a machine that does other things besides. */
const takeoverLimitMs = patienceMs(4000)

let parts: Awaited<ReturnType<typeof startFaultyStack>>
let more: Awaited<ReturnType<typeof moreOrchestrators>>
const commands: string[] = []
const sample = matrixSample()

test.before(async () => {
  parts = await startFaultyStack({ DOLLY_ACK_WAIT_MS: '1000' })
  more = await moreOrchestrators(parts.stack, 2)
})
test.after.always(async () => {
  await more?.[Symbol.asyncDispose]()
  await parts?.[Symbol.asyncDispose]()
})

for (const mode of ['bridge', 'lab'] as const) {
  for (const { contract } of sagas[mode].steps) {
    const { name: step, service } = contract
    test.serial(
      `${mode}: the orchestrator killed around "${step}": another one goes on from the journal`,
      async (t) => {
        t.timeout(patienceMs(170_000))
        for (const point of sample(t, points, String)) {
          const chosen = { step, service, point, action: 'kill-orchestrator' as const, mode }
          commands.push(...(await liveThrough(t, parts, chosen)))
        }
      },
    )
  }
}

test.serial(
  'every command of the matrix has one outcome, nothing is left, and nobody waited long',
  async (t) => {
    t.true(commands.length > 0)
    await proveExactness(t, parts, commands)
    const times = takeoverTimes(parts.client)
    t.log(summaryOf(times))
    t.true(Math.max(...times) < takeoverLimitMs, `a takeover took ${Math.max(...times)} ms`)
  },
)

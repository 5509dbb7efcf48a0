import test, { type ExecutionContext } from 'ava'
import { createContainer, createLabContainer } from '../../services/orchestrator/create-container.ts'
import { patienceMs } from '../../shared/patience.ts'
import {
  type Step,
  proveExactness,
  startFaultyStack,
  summaryOf,
  takeoverTimes,
} from '../helpers/fault-matrix.ts'
import { moreOrchestrators, pidOf, replaced } from '../helpers/fault-processes.ts'
import { tracesOf } from '../helpers/fault-traces.ts'
import { matrixSample } from '../helpers/matrix-sample.ts'

const sagas = { bridge: createContainer, lab: createLabContainer }
const points = ['before-undo', 'after-undo'] as const
const actions = ['kill-service', 'kill-orchestrator'] as const

let parts: Awaited<ReturnType<typeof startFaultyStack>>
let more: Awaited<ReturnType<typeof moreOrchestrators>>
const commands: string[] = []
const sample = matrixSample()

test.before(async () => {
  // On a slow host too a launch has failed, and is being compensated, before another orchestrator takes it over.
  parts = await startFaultyStack({ DOLLY_ACK_WAIT_MS: String(Math.min(patienceMs(1000), 20_000)) })
  more = await moreOrchestrators(parts.stack, 2)
})
test.after.always(async () => {
  await more?.[Symbol.asyncDispose]()
  await parts?.[Symbol.asyncDispose]()
})

interface Case extends Step {
  mode: keyof typeof sagas
  point: (typeof points)[number]
  action: (typeof actions)[number]
}

/** A launch whose last step fails after it has acted, and whose compensation one process dies in. */
const compensateThrough = async (t: ExecutionContext, { mode, step, service, point, action }: Case) => {
  const { client, stack } = parts
  const id = `undone-${mode}-${step}-${point}-${action}`
  const last = sagas[mode].steps.at(-1)!.contract.name
  const watched = action === 'kill-service' && service !== 'orchestrator'
  const before = watched ? await pidOf(stack.config, service) : undefined
  const commandId = await client.publish('container.create', {
    id,
    image: 'busybox',
    command: ['sleep', '1000'],
    ...(mode === 'lab' ? { network_mode: 'lab' } : {}),
    trace: {
      inject: [
        { step: last, point: 'after-act', action: 'fail' },
        { step, point, action },
      ],
    },
  })
  commands.push(commandId)
  const { type, data } = await client.outcome(commandId)
  t.is(type, 'container.failed', `${id}: ${JSON.stringify(data)}`)
  t.is(data['step'], last, `${id}: the outcome names the step that failed, not what died later`)
  t.deepEqual(tracesOf(stack.config, id), [], `${id}: nothing is left`)
  if (watched) await replaced(stack.config, service, before)
  else t.true(client.eventsOf(id, 'saga.resumed').length > 0, `${id}: another orchestrator took it over`)
}

for (const mode of ['bridge', 'lab'] as const) {
  for (const action of actions) {
    test.serial(`${mode}: ${action} around each step's undo while a launch is compensated`, async (t) => {
      t.timeout(patienceMs(170_000))
      const cases = sagas[mode].steps.flatMap(({ contract: { name: step, service } }) =>
        points.map((point) => ({ mode, step, service, point, action })),
      )
      for (const chosen of sample(t, cases, ({ step, point }) => `${point} of ${step}`))
        await compensateThrough(t, chosen)
    })
  }
}

test.serial('every command has one outcome and nothing is left', async (t) => {
  t.true(commands.length > 0)
  await proveExactness(t, parts, commands)
  t.log(summaryOf(takeoverTimes(parts.client)))
})

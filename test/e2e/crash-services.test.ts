import test from 'ava'
import { createContainer, createLabContainer } from '../../services/orchestrator/create-container.ts'
import { patienceMs } from '../../shared/patience.ts'
import { liveThrough, proveExactness, startFaultyStack } from '../helpers/fault-matrix.ts'
import { matrixSample } from '../helpers/matrix-sample.ts'

const sagas = { bridge: createContainer, lab: createLabContainer }
const points = ['before-act', 'after-act', 'after-reply', 'before-undo', 'after-undo'] as const

/** Steps in groups in which no service stands twice: its death would hide that of the other step. */
const waves = (mode: keyof typeof sagas) => {
  const groups: { step: string; service: string }[][] = []
  for (const { contract } of sagas[mode].steps) {
    const { name: step, service } = contract
    if (service === 'orchestrator') continue
    const group = groups.find((members) => members.every((member) => member.service !== service))
    if (group) group.push({ step, service })
    else groups.push([{ step, service }])
  }
  return groups
}

let parts: Awaited<ReturnType<typeof startFaultyStack>>
const commands: string[] = []
const sample = matrixSample()
const namesOf = (group: readonly { step: string }[]) => group.map(({ step }) => step).join(' and ')

test.before(async () => {
  parts = await startFaultyStack()
})
test.after.always(async () => parts?.[Symbol.asyncDispose]())

for (const mode of ['bridge', 'lab'] as const) {
  for (const point of points) {
    test.serial(
      `${mode}: each service killed ${point} of its step: the container is made and deleted once`,
      async (t) => {
        t.timeout(patienceMs(170_000))
        for (const group of sample(t, waves(mode), namesOf)) {
          const lives = group.map((step) =>
            liveThrough(t, parts, { ...step, point, action: 'kill-service', mode }),
          )
          commands.push(...(await Promise.all(lives)).flat())
        }
      },
    )
  }
}

test.serial('every command of the matrix has one outcome and nothing is left', async (t) => {
  t.true(commands.length > 0)
  await proveExactness(t, parts, commands)
})

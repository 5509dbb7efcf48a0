import test from 'ava'
import * as steps from '../../shared/contracts/steps.ts'
import { injecting } from '../../services/orchestrator/fault-injection.ts'
import type { StepRequest } from '../../services/orchestrator/saga/perform.ts'

const recorded = () => {
  const requests: StepRequest[] = []
  const executor = injecting({
    act: async (request) => {
      requests.push(request)
      return { output: {}, transcript: [] }
    },
  })
  const act = (point: string, action: string, rest: Partial<StepRequest> = {}) =>
    executor.act({
      contract: steps.storage,
      direction: 'do',
      input: { inject: [{ step: 'storage', point, action }] },
      timeoutMs: 1000,
      fence: 1,
      first: true,
      signal: AbortSignal.timeout(1000),
      ...rest,
    })
  return { requests, act }
}

test('fail before: nothing is asked for', async (t) => {
  const { requests, act } = recorded()
  await t.throwsAsync(act('before-act', 'fail'), { message: 'storage was told to fail' })
  t.is(requests.length, 0)
})

test('fail after: it was done all the same', async (t) => {
  const { requests, act } = recorded()
  await t.throwsAsync(act('after-act', 'fail'), { message: 'storage was told to fail after it acted' })
  t.is(requests.length, 1)
})

test('kill-service travels with the request, undo points as the service knows them', async (t) => {
  const { requests, act } = recorded()
  await act('after-reply', 'kill-service')
  await act('before-undo', 'kill-service', { direction: 'undo' })
  await act('after-undo', 'kill-service', { direction: 'undo' })
  t.deepEqual(
    requests.map(({ inject }) => inject),
    ['after-reply', 'before-act', 'after-act'],
  )
})

test('only the first attempt, only that step, only that direction', async (t) => {
  const { requests, act } = recorded()
  await act('before-act', 'fail', { first: false })
  await act('before-act', 'fail', { contract: steps.cgroup })
  await act('before-act', 'fail', { direction: 'undo' })
  await act('before-undo', 'fail')
  await act('before-act', 'kill-service', { input: {} })
  t.is(requests.length, 5)
  t.true(requests.every(({ inject }) => inject === undefined))
})

import test from 'ava'
import { containerSpec } from '../../services/orchestrator/container-spec.ts'
import { restartDelayMs, wantsRestart } from '../../services/orchestrator/restart-policy.ts'

const ended = (
  restart: string,
  rest: { exitCode?: number; stoppedByUser?: boolean; restarts?: number } = {},
) =>
  wantsRestart({
    spec: containerSpec({ image: 'busybox', restart }, { id: 'x', node: 'n' }),
    exitCode: 1,
    ...rest,
  })

test('no never, always and unless-stopped ever', (t) => {
  t.false(ended('no'))
  for (const policy of ['always', 'unless-stopped']) {
    t.true(ended(policy))
    t.true(ended(policy, { exitCode: 0, restarts: 1000 }))
  }
})

test('on-failure only after failure, with a number only so often', (t) => {
  t.true(ended('on-failure', { restarts: 1000 }))
  t.false(ended('on-failure', { exitCode: 0 }))
  t.true(ended('on-failure:2', { restarts: 1 }))
  t.false(ended('on-failure:2', { restarts: 2 }))
})

test('what a user stopped stays stopped', (t) => {
  for (const policy of ['always', 'unless-stopped', 'on-failure'])
    t.false(ended(policy, { stoppedByUser: true }))
})

test('the pause doubles from 100 ms to a minute', (t) => {
  t.deepEqual([0, 1, 2, 3, 9, 10, 100].map(restartDelayMs), [100, 200, 400, 800, 51_200, 60_000, 60_000])
})

import test from 'ava'
import { followExits } from '../../services/orchestrator/restarts.ts'
import { createLog } from '../../shared/log.ts'
import { eventually, startNatsServer } from '../helpers/stack.ts'

test('an exit that is looked at while the bus does not answer is looked at again, and nothing is told of it', async (t) => {
  await using server = await startNatsServer()
  await using bus = await server.bus('orchestrator')
  const pid = server.pid()
  if (pid === undefined) throw new Error('no server runs')
  const stop = new AbortController()
  let looks = 0
  const projection = {
    get: () => {
      looks += 1
      if (looks === 1) process.kill(pid, 'SIGSTOP')
      return undefined
    },
  }
  const log = createLog({}, 'silent')
  let warned = false
  log.warn = () => void (warned = true)
  const start = async () => t.fail()
  const following = followExits({ bus, start, projection, log }, stop.signal)
  const event = {
    kind: 'container' as const,
    id: 'x',
    type: 'container.exited',
    messageId: 'exit',
    data: {},
  }
  const { sequence } = await bus.append(event, 0)
  await eventually('it has waited for an answer', () => warned, 20_000).finally(() =>
    process.kill(pid, 'SIGCONT'),
  )
  await eventually('it is dealt with', () => bus.hasConsumed('restarts', sequence), 20_000)
  t.true(looks > 1)
  t.deepEqual(
    (await bus.journal('container', 'x')).map(({ event: stored }) => stored?.type),
    ['container.exited'],
  )
  stop.abort()
  await following
})

import test from 'ava'
import { containerSpec } from '../../services/orchestrator/container-spec.ts'
import { hostExecutor } from '../../services/orchestrator/executor.ts'
import { createHeartbeats } from '../../services/orchestrator/heartbeats.ts'
import { nameStep } from '../../services/orchestrator/name-step.ts'
import { createNodes } from '../../services/orchestrator/nodes.ts'
import { undoSteps } from '../../services/orchestrator/restore.ts'
import type { Bus } from '../../shared/bus.ts'
import { parseEvent } from '../../shared/contracts/event.ts'
import { hostServiceNames } from '../../shared/contracts/node.ts'
import { cgroup } from '../../shared/contracts/steps.ts'
import type { Failure } from '../../shared/failure.ts'
import { createLog } from '../../shared/log.ts'
import { subjects } from '../../shared/subjects.ts'
import { startNatsServer } from '../helpers/stack.ts'

const log = createLog({}, 'silent')

/** A service of a host that answers everything with this. */
const serve = (bus: Bus, node: string, service: string, verbs: string[], answer: () => Promise<unknown>) =>
  bus.serve({
    name: service,
    description: '',
    metadata: {},
    endpoints: verbs.map((verb) => ({
      name: verb.replace('.', '-'),
      subject: subjects.host(node, service, verb),
      handle: async () => ({ plain: await answer() }),
    })),
  })

for (const [what, answer] of [
  ['no object', 'nonsense'],
  ['no output', {}],
  ['another output', { output: { cgroupsPath: 7 }, transcript: [] }],
] as const) {
  test(`a service that answers ${what} fails a step, and its node has no heartbeat`, async (t) => {
    await using server = await startNatsServer()
    const { node } = server.config
    await using bus = await server.bus('orchestrator')
    await using host = await server.bus('cgroup')
    const { doVerb } = cgroup
    await serve(host, node, 'cgroup', ['status', doVerb], async () => answer)
    const stop = new AbortController()
    const parts = { bus, log, signal: stop.signal }
    const nodes = await createNodes(parts)
    const heartbeats = createHeartbeats({ ...parts, nodes, node, heartbeatMs: 1000 })
    const beating = heartbeats.run()
    const spec = { ...containerSpec({ image: 'x' }, { id: '01ABCDEFGHJKMNPQ', node }), node }
    const executor = hostExecutor(bus, await nameStep(bus))
    await t.throwsAsync(
      executor.act({
        contract: cgroup,
        direction: 'do',
        input: spec,
        fence: 1,
        first: true,
        timeoutMs: 5000,
        signal: stop.signal,
      }),
      { code: 'unsupported', message: /^cannot read the answer of .*cgroup/ },
    )
    stop.abort()
    await t.notThrowsAsync(beating)
    t.deepEqual(nodes.list(), [])
    await nodes.ended
  })
}

test('a service that does not answer in time keeps no other step from being undone', async (t) => {
  await using server = await startNatsServer()
  const { node } = server.config
  await using bus = await server.bus('orchestrator')
  const spec = { ...containerSpec({ image: 'x' }, { id: '01ABCDEFGHJKMNPQ', node }), node }
  const executor = hostExecutor(bus, await nameStep(bus))
  const opened = await Promise.all(
    hostServiceNames.map(async (service) => {
      const host = await server.bus(service)
      const isSlow = service === 'namespace'
      const answer = () => (isSlow ? new Promise<never>(() => {}) : Promise.resolve({ output: {} }))
      await serve(host, node, service, ['undo', 'detach', 'stop-now'], answer)
      return host
    }),
  )
  const failure = await t.throwsAsync<Failure>(undoSteps({ executor, spec, fence: 1, timeoutMs: 300 }), {
    code: 'busy',
    message: /lab-start: .*no answer in time; .*namespace: .*no answer in time/,
  })
  const undone = failure.details['undone'] as string[]
  t.deepEqual(undone.toSorted(), ['cgroup', 'lab-network', 'name', 'network', 'storage'])
  for (const host of opened) await host.close()
})

test('an event of a service that is none is passed over', (t) => {
  for (const raw of ['', 'null', '7', '{}', '{"data":null}', 'not JSON'])
    t.is(parseEvent(raw), undefined, raw)
})

import { setTimeout as delay } from 'node:timers/promises'
import { connectBus } from '../../shared/bus.ts'
import { loadConfig } from '../../shared/config.ts'
import { parseEvent } from '../../shared/contracts/event.ts'
import { ServiceStarted } from '../../shared/contracts/node.ts'
import { Failure } from '../../shared/failure.ts'
import { renewHealthFile } from '../../shared/health-file.ts'
import { createLog } from '../../shared/log.ts'
import { durableCommands, subjects } from '../../shared/subjects.ts'
import { createContainerRuns } from './container-runs.ts'
import { createCommand } from './create-command.ts'
import { deleteCommand } from './delete-command.ts'
import { createDeliveries } from './deliveries.ts'
import { injecting } from './fault-injection.ts'
import { hostExecutor } from './executor.ts'
import { createHeartbeats } from './heartbeats.ts'
import { nameStep } from './name-step.ts'
import { nodeVerbs } from './node-verbs.ts'
import { createNodes } from './nodes.ts'
import { createProjection } from './projection.ts'
import { createFleet } from './placement/fleet.ts'
import { createPlacement } from './placement/placement.ts'
import { createReservations } from './placement/reservations.ts'
import { createSettlement } from './placement/settlement.ts'
import { createQueue } from './queue.ts'
import { createReach } from './reach.ts'
import { reconcileFleet } from './reconcile-fleet.ts'
import { createInitializer, createStarter, followExits, restore } from './restarts.ts'
import { Lost } from './saga/ledger.ts'
import { sagaVerbs } from './saga-verbs.ts'
import { verbHandlers } from './verbs.ts'

const unlessFailure = (error: unknown): void => {
  if (!(error instanceof Failure) && !(error instanceof Lost)) throw error
}

/** Most sagas end within milliseconds; one that waits for something may wait elsewhere. */
const drainMs = 1000

const config = loadConfig()
const log = createLog({ service: 'orchestrator', node: config.node }, config.logLevel)
const bus = await connectBus(config, { role: 'orchestrator', log })
const stop = new AbortController()
const { node, ackWaitMs } = config
const projection = await createProjection({ bus, node, log, signal: stop.signal })
const nodes = await createNodes({ bus, log, signal: stop.signal })
const { heartbeatMs } = config.host
const heartbeats = createHeartbeats({ bus, nodes, node, heartbeatMs, log, signal: stop.signal })
const hosts = hostExecutor(bus, await nameStep(bus))
const executor = config.faultInjection ? injecting(hosts) : hosts
const { idOfName } = projection
const staleMs = 6 * ackWaitMs
const settlement = createSettlement({ bus, projection, staleMs })
const placement = createPlacement({
  fleet: createFleet({ nodes, projection, config }),
  book: await createReservations(bus),
  settlement,
  projection,
  maxLaunches: config.maxLaunches,
  log,
  signal: stop.signal,
})
const queue = createQueue({ bus, placement, projection, countLimits: config.countLimits })
const halt = new AbortController()
const runs = createContainerRuns({ bus, executor, log, signal: halt.signal })
const acts = {
  [subjects.create]: createCommand({ bus, log, runs, placement, settlement, idOfName, config }),
  [subjects.delete]: deleteCommand({ bus, log, runs }),
}
const deliveries = createDeliveries({
  runs,
  acts,
  log,
  ackWaitMs,
  signal: halt.signal,
  idOfName: async (name) =>
    idOfName(name) ?? (await projection.current(), idOfName(name) ?? (await queue.find(name))?.id),
})

bus.hints('service', (_, raw) => {
  const started = ServiceStarted.safeParse(parseEvent(raw)?.data).data
  if (!started) return
  hosts.restarted(started.node, started.service)
  heartbeats.started(started.node, started.service)
})
bus.hintsToLook((id) => {
  placement.refresh(id)
  void runs.refresh(id)
})

const reach = createReach({ bus, projection, queue, node })
const initialize = createInitializer({ executor: hosts, reach })
const start = createStarter({ bus, executor: hosts, reach })
const parts = { bus, projection, queue, reach, node }
const handlers = [
  ...verbHandlers(parts, { restore: (container) => restore(hosts, container), initialize, start }),
  ...sagaVerbs({ ...parts, executor: hosts, runs }),
  ...nodeVerbs({ bus, nodes, projection, config }),
]
await bus.serve({
  name: 'orchestrator',
  description: 'Runs container launches as sagas and answers questions about them',
  metadata: { node, root: config.root, pid: String(process.pid) },
  endpoints: handlers.map(({ verb: { subject }, handle }) => ({
    name: subject.replace('.', '-'),
    subject,
    handle: async (body) => {
      try {
        return { plain: await handle(body) }
      } catch (error) {
        if (error instanceof Failure) return { failure: error, transcript: [] }
        throw error
      }
    },
  })),
})
const consuming = durableCommands.map((subject) =>
  bus.consumeCommands(subject.replace('.', '-'), (command) => void deliveries.handle(command), stop.signal),
)
const following = [
  projection.ended,
  nodes.ended,
  heartbeats.run(),
  followExits({ bus, start, projection, log }, stop.signal),
]
const { reconcileMs: everyMs } = config
following.push(
  reconcileFleet({
    ...parts,
    nodes,
    executor: hosts,
    runs,
    log,
    signal: stop.signal,
    heartbeatMs,
    everyMs,
    staleMs,
  }),
)
renewHealthFile(config, bus, stop.signal)
bus.announce(node, 'orchestrator')
log.info('service started')

/** Takes no new command, lets sagas in hand end for a while, and hands the rest over at once. */
const end = async (signal: string): Promise<void> => {
  log.info({ signal }, 'service stopping')
  // Others answer from a list that goes on.
  void bus.endServing().catch(unlessFailure)
  stop.abort()
  let isOver = false
  const over = async (): Promise<void> => {
    // What a round or a takeover has left, another orchestrator does.
    await Promise.all([...consuming, ...following]).catch(unlessFailure)
    isOver = true
  }
  void over()
  const until = Date.now() + drainMs
  const isIdle = () => isOver && deliveries.idle()
  while (!isIdle() && Date.now() < until) await delay(20)
  halt.abort(new Failure('interrupted', 'the orchestrator is stopping'))
  while (!isIdle() && Date.now() < until + drainMs) await delay(20)
  await bus.close()
}
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void end(signal))

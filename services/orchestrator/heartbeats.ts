import { setTimeout as delay } from 'node:timers/promises'
import type { Bus } from '../../shared/bus.ts'
import { type NodeRecord, type ServiceStatus, hostServiceNames } from '../../shared/contracts/node.ts'
import { status } from '../../shared/contracts/operations.ts'
import { Failure } from '../../shared/failure.ts'
import { createKeyedQueue } from '../../shared/keyed-queue.ts'
import type { Log } from '../../shared/log.ts'
import { patienceMs } from '../../shared/patience.ts'
import { subjects } from '../../shared/subjects.ts'
import { parseReply } from '../../shared/wire.ts'
import type { Nodes } from './nodes.ts'

type HostServiceName = (typeof hostServiceNames)[number]

interface HeartbeatParts {
  bus: Bus
  nodes: Nodes
  /** Looked at even when no record of it exists yet. */
  node: string
  heartbeatMs: number
  log: Log
  signal: AbortSignal
}

/** What came of asking a service: its answer, that nobody has its name, or that it is slow. */
type Answer = ServiceStatus | 'absent' | 'silent'

/** Further apart than this the times of two hosts' events mislead whoever reads them. */
const mostApartMs = 60_000

const unknown = (name: string): NodeRecord => ({
  name,
  joinedAt: new Date().toISOString(),
  role: 'client',
  subnet: '',
  version: '',
  labels: {},
  capacity: { cpus: 0, memory: 0, disk: 0, containers: 0 },
  use: { memory: 0, disk: 0 },
  features: {},
  images: [],
  services: {},
  heartbeatAt: new Date(0).toISOString(),
})

/** The record with what a service said taken in; one that is only slow counts as it did. */
const merged = (record: NodeRecord, service: HostServiceName, answer: Answer): NodeRecord => {
  if (answer === 'silent') return record
  const { [service]: _, ...others } = record.services
  if (answer === 'absent') return { ...record, services: others }
  const { pid, startedAt, version, facts } = answer
  return {
    ...record,
    version,
    services: { ...others, [service]: { pid, startedAt, version } },
    subnet: facts.subnet ?? record.subnet,
    labels: facts.labels ?? record.labels,
    images: facts.images ?? record.images,
    capacity: { ...record.capacity, ...facts.capacity },
    use: { ...record.use, ...facts.use },
    features: { ...record.features, ...facts.features },
    heartbeatAt: new Date().toISOString(),
  }
}

/**
 * Asks the services of every node how they do, and writes what they say to the node's record: a heartbeat that
 * has been to the host and back. Of several orchestrators whoever is first writes.
 */
export const createHeartbeats = ({ bus, nodes, node: here, heartbeatMs, log, signal }: HeartbeatParts) => {
  const queue = createKeyedQueue()
  const apart = new Set<string>()

  const ask = async (name: string, service: HostServiceName): Promise<Answer> => {
    try {
      const subject = subjects.host(name, service, 'status')
      const reply = await bus.request(subject, {}, { timeoutMs: heartbeatMs, signal })
      return parseReply(status[service].output, reply, subject).output
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      if (error.code === 'unsupported') log.warn({ node: name, reason: error.message }, 'no heartbeat read')
      return error.details['nobody'] === true ? 'absent' : 'silent'
    }
  }

  const compareClocks = async (name: string, answers: readonly Answer[]): Promise<void> => {
    const [answer] = answers.filter((one) => typeof one === 'object')
    if (!answer) return
    const apartMs = Date.parse(answer.now) - Date.now()
    if (Math.abs(apartMs) < patienceMs(mostApartMs)) return void apart.delete(name)
    if (apart.has(name)) return
    apart.add(name)
    const data = { node: name, apartMs, limitMs: mostApartMs }
    log.error(data, "the clock of a node is not the orchestrator's")
    const messageId = `${name}:clock:${Math.floor(Date.now() / 3_600_000)}`
    await bus.publishEvent({ kind: 'node', id: name, type: 'node.clock-apart', messageId, data })
  }

  const look = (name: string, services: readonly HostServiceName[]): Promise<void> =>
    queue.run(name, async () => {
      try {
        const asked = nodes.get(name)
        const answers = await Promise.all(services.map((service) => ask(name, service)))
        const before = nodes.get(name)
        const after = services.reduce(
          (record, service, index) => merged(record, service, answers[index] ?? 'silent'),
          before ?? unknown(name),
        )
        // Nobody there: what the record says is as it was, and nothing new is to be told.
        const news = answers.some((answer) => typeof answer === 'object')
        const gone = Object.keys(after.services).length < Object.keys(before?.services ?? {}).length
        // Taken out meanwhile: its services may have answered before that.
        const removed = asked !== undefined && before === undefined
        if ((news || gone) && !removed) await nodes.write(after)
        await compareClocks(name, answers)
      } catch (error) {
        // Another orchestrator has written it, or the bus is away: the next heartbeat tells more.
        if (!(error instanceof Failure)) throw error
        if (error.code !== 'stale') log.warn({ reason: error.message, node: name }, 'no heartbeat written')
      }
    })

  const isDue = (record: NodeRecord | undefined): boolean =>
    !record || Date.now() - Date.parse(record.heartbeatAt) > heartbeatMs * 0.9

  const round = async (): Promise<void> => {
    const names = new Set([here, ...nodes.list().map(({ name }) => name)])
    const due = [...names].filter((name) => isDue(nodes.get(name)))
    await Promise.all(due.map((name) => look(name, hostServiceNames)))
  }

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      await round()
      // Not in step with other orchestrators, so that they seldom ask at once.
      await delay(heartbeatMs * (0.9 + Math.random() / 5), undefined, { signal }).catch(() => undefined) // aborted
    }
  }

  return {
    run,
    /** A service has said that it is there: it is asked at once. */
    started: (name: string, service: string): void => {
      const known = hostServiceNames.find((one) => one === service)
      if (known) void look(name, [known])
    },
  }
}

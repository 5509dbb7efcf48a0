import { readFile } from 'node:fs/promises'
import test from 'ava'
import fc from 'fast-check'
import { askPages } from '../../services/cli/commands/bus/ask.ts'
import { outcomeTypes } from '../../shared/contracts/event.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { subjects } from '../../shared/subjects.ts'
import { parseJson } from '../../shared/wire.ts'
import { type Msg, headers } from '../../shared/bus/nats.ts'
import { type ContainerClient, containerClient } from '../helpers/container-client.ts'
import { natsServerOf, pidOf } from '../helpers/fault-processes.ts'
import { type Hostile, hostileMessage } from '../helpers/hostile-messages.ts'
import { type Probe, probe } from '../helpers/probe.ts'
import { type Stack, eventually, startStack } from '../helpers/stack.ts'

const messages = Number(process.env['DOLLY_FUZZ_MESSAGES'] ?? 10_000)
const seed = Number(process.env['DOLLY_FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const minutes = Number(process.env['DOLLY_FUZZ_MINUTES'] ?? 5)
const atOnce = 32
const services = ['storage', 'cgroup', 'network', 'namespace', 'orchestrator'] as const

/** From the half of it to the end: a heap that is still finding its size, and nothing that is kept of messages. */
const mostGrowth = 1.35
/** Go's heap is up to twice what lives in it. */
const mostServerGrowth = 2.5

const isOutcome = (type: unknown): boolean => (outcomeTypes as readonly unknown[]).includes(type)

/** How often each command has been ended, by the id that its outcome carries. */
const countOutcomes = ({ connection }: Probe) => {
  const counts = new Map<string, number>()
  const types: Record<string, number> = {}
  connection.subscribe('event.container.*', {
    callback: (_, message) => {
      const { type, commandid } = message.json<{ type: string; commandid?: string }>()
      if (!commandid || !isOutcome(type)) return
      counts.set(commandid, (counts.get(commandid) ?? 0) + 1)
      types[type] = (types[type] ?? 0) + 1
    },
  })
  return { counts, types }
}

const roomless = /^no node /

/** Creates of the work queue that wait for room, or for another create of their id that does. */
const waitingCreates = async (client: ContainerClient, inside: Stack['inside']) => {
  const pages = await askPages(client.bus, verbs.containerList, { all: true })
  const all = pages.flatMap(({ containers }) => containers)
  const queued = new Set(all.filter(({ queue }) => roomless.test(queue?.reason ?? '')).map(({ id }) => id))
  const pending = await inside.pendingCommands(subjects.create)
  return pending.filter(({ body }) => queued.has(String((parseJson(body) as { id?: unknown }).id)))
}

interface Answer {
  status: number
  body: unknown
}

/** The server's own answers have a status without a body, what it reads is somebody's event. */
const answerOf = (reply: Msg): Answer => {
  const { code = 0, description = '' } = reply.headers ?? {}
  // 204 is the end of what there is to read.
  if (code) return { status: code === 204 ? 200 : code, body: { code: `read ${code}`, message: description } }
  return { status: Number(reply.headers?.get('Nats-Service-Error-Code') || 200), body: reply.json() }
}

const publish = async (
  { connection }: Probe,
  { subject, body, headers: named }: Hostile,
): Promise<Answer> => {
  const meta = headers()
  for (const [name, value] of Object.entries(named)) meta.set(name, value)
  return answerOf(await connection.request(subject, body, { timeout: 20_000, headers: meta }))
}

const describe = ({ subject, body, headers: named }: Hostile): string =>
  `${subject} ${JSON.stringify(named)} ${new TextDecoder().decode(body.subarray(0, 300))}`

interface Tally {
  /** Accepted commands by the id that their outcome will carry; one may come again once the bus has forgotten it. */
  accepted: Map<string, number>
  statuses: Map<string, number>
  wrong: string[]
}

/** A receipt, the bus's refusal to take it, or an answer that says what is wrong. */
const judge = (message: Hostile, { status, body }: Answer, tally: Tally): void => {
  const { seq, duplicate, error, code, message: said } = (body ?? {}) as Record<string, unknown>
  const kind = error ? 'not stored' : typeof seq === 'number' ? 'accepted' : String(code ?? status)
  tally.statuses.set(kind, (tally.statuses.get(kind) ?? 0) + 1)
  if (kind === 'accepted' && !duplicate) {
    const id = message.headers['Nats-Msg-Id']?.trim() || `COMMANDS:${seq as number}`
    tally.accepted.set(id, (tally.accepted.get(id) ?? 0) + 1)
  }
  const isClear = status === 200 || (status >= 400 && status < 500 && typeof said === 'string' && said !== '')
  if (!isClear) tally.wrong.push(`${status} ${JSON.stringify(body)?.slice(0, 300)} to ${describe(message)}`)
}

test(`${messages} hostile messages: each is answered or ended once, nothing restarts, memory stays flat`, async (t) => {
  t.timeout(minutes * 60_000)
  t.log(`seed ${seed}`)
  await using stack = await startStack()
  const { config } = stack
  await using client = await containerClient(config)
  await client.create({ id: 'target', name: 'target', command: ['sleep', '1000'], restart: 'always' })
  await using one = await probe(config, 'client')
  const { counts: outcomes, types } = countOutcomes(one)
  const server = async () => (await natsServerOf(config))[0]?.pid
  const pids = () => Promise.all([...services.map((service) => pidOf(config, service)), server()])
  const memory = async () => {
    const sizes = (await pids()).map(async (pid) => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8')
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1])
    })
    return Promise.all(sizes)
  }
  const before = await pids()
  const tally: Tally = { accepted: new Map(), statuses: new Map(), wrong: [] }
  const sample = fc.sample(hostileMessage, { numRuns: messages, seed })
  const began = performance.now()
  const queue = sample.values()
  let sent = 0
  let halfway: number[] = []
  const worker = async () => {
    for (const message of queue) {
      if (++sent === messages / 2) halfway = await memory()
      const answer = await publish(one, message).catch((error: unknown) => {
        tally.wrong.push(`${String(error)} to ${describe(message)}`)
      })
      if (answer) judge(message, answer, tally)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  const asked = performance.now()
  const waiting = new Set<string>()
  const unlike = () =>
    [...tally.accepted].filter(([id, count]) => !waiting.has(id) && outcomes.get(id) !== count)
  const open = () => unlike().map(([id]) => id)
  const ended = async () => {
    // A create may ask for more than this host has, and wait for a larger one.
    for (const { sequence, messageId } of await waitingCreates(client, stack.inside))
      waiting.add(messageId ?? `COMMANDS:${sequence}`)
    return open().length === 0
  }
  await eventually('every accepted command has its outcome', ended, 30_000).catch((error: unknown) =>
    t.fail(`${String(error)}: ${open().slice(0, 5).join()}`),
  )
  t.log(`sent in ${Math.round(asked - began)} ms, ended after ${Math.round(performance.now() - began)} ms`)
  t.log(JSON.stringify({ ...Object.fromEntries(tally.statuses), ...types }))
  const used = await memory()
  t.log(`memory ${halfway.join()} KiB halfway, ${used.join()} KiB at the end`)
  t.deepEqual(tally.wrong.slice(0, 20), [], `${tally.wrong.length} of them`)
  t.deepEqual(unlike(), [])
  t.deepEqual(
    [...outcomes].filter(([id]) => !tally.accepted.has(id)),
    [],
  )
  t.deepEqual(await pids(), before)
  for (const [index, name] of [...services, 'nats-server'].entries()) {
    const most = name === 'nats-server' ? mostServerGrowth : mostGrowth
    t.true((used[index] ?? 0) < (halfway[index] ?? 0) * most, `memory of ${name}`)
  }
})

import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { type Bus, connectBus } from './bus.ts'
import { type Config, loadConfig } from './config.ts'
import type { Operation, StepContract } from './contracts/contract.ts'
import type { NodeFacts, ServiceStatus } from './contracts/node.ts'
import { Failure, reasonOf } from './failure.ts'
import { createFence } from './fence.ts'
import { renewHealthFile } from './health-file.ts'
import { operating } from './operating.ts'
import type { RequestMeta } from './request-meta.ts'
import { createKeyedQueue } from './keyed-queue.ts'
import { type Log, createLog } from './log.ts'
import { type Recorder, createRecorder } from './recorder.ts'
import { subjects } from './subjects.ts'
import { projectVersion } from './version.ts'
import { type Outcome, parseInput } from './wire.ts'

/** What a handler may use beside its input. */
export interface Context {
  record: Recorder
  log: Log
  config: Config
  bus: Bus
}

/** One subject of a host service; `handle` gets input that the contract has parsed. */
export interface Endpoint {
  verb: string
  input: z.ZodType
  handle: (input: never, context: Context) => Promise<unknown>
  /** Answered beside the container's other requests, not after them: it changes nothing, or waits for long. */
  concurrent?: boolean
}

type StepHandlers<C extends StepContract> = {
  do: (input: z.output<C['input']>, context: Context) => Promise<z.input<C['output']>>
  undo: (input: z.output<C['undoInput']>, context: Context) => Promise<void>
}

/** The two endpoints of a reversible step. */
export const stepEndpoints = <C extends StepContract>(contract: C, handlers: StepHandlers<C>): Endpoint[] => [
  { verb: contract.doVerb, input: contract.input, handle: handlers.do },
  { verb: contract.undoVerb, input: contract.undoInput, handle: handlers.undo },
]

/** The endpoint of a single operation. */
export const endpoint = <O extends Operation>(
  { verb, input }: O,
  handle: (input: z.output<O['input']>, context: Context) => Promise<z.input<O['output']>>,
): Endpoint => ({ verb, input, handle })

/** A host service: what it is called, how it readies the host, and what it answers. */
export interface HostServiceDefinition {
  name: string
  description: string
  endpoints: Endpoint[]
  /** Readies the host before the first request; idempotent. Throws `Failure` (`host_unfit`) when it cannot. */
  prepare?: (context: Context) => Promise<void>
  /** What it knows of its host, for the node's record. */
  facts?: (context: Context) => NodeFacts | Promise<NodeFacts>
  /** Begins watching the host once requests are answered; stops on the signal. */
  watch?: (context: Context, signal: AbortSignal) => Promise<void>
}

/** Answers how the service does and what it knows of its host. */
const statusEndpoint = ({ facts }: HostServiceDefinition): Endpoint => {
  const startedAt = new Date().toISOString()
  const version = projectVersion()
  // It answers, so it is there; what keeps it from its host is told by whoever asks it for more.
  const known = async (context: Context): Promise<NodeFacts> => {
    try {
      return (await facts?.(context)) ?? {}
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      context.log.warn({ reason: error.message }, 'cannot look at the host')
      return {}
    }
  }
  return {
    verb: 'status',
    input: z.strictObject({}),
    handle: async (_, context): Promise<ServiceStatus> => ({
      pid: process.pid,
      startedAt,
      version,
      now: new Date().toISOString(),
      facts: await known(context),
    }),
  }
}

/** Answers one request: parses, serialises per container, times, and turns failures into replies. */
export const createDispatcher = (definition: HostServiceDefinition, base: Omit<Context, 'record'>) => {
  const queue = createKeyedQueue()
  const newest = createFence()
  return async (verb: string, body: unknown, { fence, inject }: RequestMeta = {}): Promise<Outcome> => {
    const crash = (point: RequestMeta['inject']) => {
      if (base.config.faultInjection && inject === point) process.kill(process.pid, 'SIGKILL')
    }
    const target = definition.endpoints.find((candidate) => candidate.verb === verb)
    if (!target) throw new Error(`${definition.name} has no verb ${verb}`)
    const record = createRecorder()
    try {
      const input = parseInput(target.input, body)
      const id = typeof input === 'object' && input !== null && 'id' in input ? String(input.id) : undefined
      const context = { ...base, record, log: base.log.child({ verb, container: id }) }
      const act = () => {
        if (id !== undefined && fence !== undefined && !newest.admits(id, fence)) {
          throw new Failure('stale', `${verb} of ${id} comes from a run of the saga that was replaced`)
        }
        crash('before-act')
        return operating(`${verb} ${id ?? definition.name}`, () => target.handle(input as never, context))
      }
      const output = await (id === undefined || target.concurrent ? act() : queue.run(id, act))
      crash('after-act')
      // The reply leaves in one of the loop's next turns.
      if (inject === 'after-reply') setTimeout(() => crash('after-reply'), 5)
      return { output: output ?? {}, transcript: [...record.entries] }
    } catch (error) {
      if (error instanceof Failure) return { failure: error, transcript: [...record.entries] }
      base.log.fatal({ err: error, verb }, 'bug in handler')
      throw error
    }
  }
}

/** How long a service that is asked to end goes on with what it watches, in milliseconds. */
const tellWithinMs = 1000

/**
 * Runs a host service until SIGTERM or SIGINT, then drains: requests being handled are finished and
 * answered. A bug in a handler ends the process with exit code 70, to be restarted by its supervisor.
 */
export const serve = async (define: (config: Config) => HostServiceDefinition): Promise<void> => {
  const config = loadConfig()
  const defined = define(config)
  const definition = { ...defined, endpoints: [...defined.endpoints, statusEndpoint(defined)] }
  const { name, description } = definition
  const log = createLog({ service: name, node: config.node }, config.logLevel)
  const bus = await connectBus(config, { role: name, log })
  const stop = new AbortController()
  const base = { log, config, bus }
  try {
    await definition.prepare?.({ ...base, record: createRecorder() })
  } catch (error) {
    log.error({ reason: reasonOf(error) }, 'cannot ready the host')
    await bus.close()
    process.exitCode = error instanceof Failure ? 69 : 70
    return
  }
  const dispatch = createDispatcher(definition, base)
  await bus.serve({
    name,
    description,
    metadata: { node: config.node, root: config.root, pid: String(process.pid) },
    endpoints: definition.endpoints.map(({ verb }) => ({
      name: verb,
      subject: subjects.host(config.node, name, verb),
      handle: (body, meta) => dispatch(verb, body, meta),
    })),
  })
  renewHealthFile(config, bus, stop.signal)
  bus.announce(config.node, name)
  log.info('service started')
  const watching = definition.watch?.({ ...base, record: createRecorder() }, stop.signal)
  const end = async (signal: string) => {
    log.info({ signal }, 'service stopping')
    stop.abort()
    // What cannot be told now, since the bus is away, is told at the next start.
    await Promise.race([watching, delay(tellWithinMs, undefined, { ref: false })])
    await bus.close()
  }
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void end(signal))
}

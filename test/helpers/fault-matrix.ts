import type { ExecutionContext } from 'ava'
import { readFileSync } from 'node:fs'
import type { Injection } from '../../shared/contracts/container-create.ts'
import { type ContainerClient, containerClient } from './container-client.ts'
import { pidOf, replaced } from './fault-processes.ts'
import { tracesOf } from './fault-traces.ts'
import { type Stack, eventually, startStack } from './stack.ts'

export interface Step {
  step: string
  /** Who owns its resource. */
  service: string
}

type Mode = 'bridge' | 'lab'

/** A stack whose launches may be failed on purpose, and that notices a dead orchestrator quickly. */
export const startFaultyStack = async (env: Record<string, string> = {}) => {
  const stack = await startStack({ DOLLY_FAULT_INJECTION: 'on', DOLLY_ACK_WAIT_MS: '2000', ...env })
  const client = await containerClient(stack.config)
  return {
    stack,
    client,
    [Symbol.asyncDispose]: async () => {
      await client[Symbol.asyncDispose]()
      await stack[Symbol.asyncDispose]()
    },
  }
}

/** The same for one test: taken down when the test ends, and what that says does not hide what the test says. */
export const faultyStackFor = async (t: ExecutionContext, env: Record<string, string> = {}) => {
  const parts = await startFaultyStack(env)
  t.teardown(() => parts[Symbol.asyncDispose]())
  return parts
}

const parentOf = (pid: number): string =>
  /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? ''

/** Publishes a create and proves, by the kernel, what its outcome says. */
export const createAndProve = async (
  t: ExecutionContext,
  { stack, client }: { stack: Stack; client: ContainerClient },
  message: { id: string; [key: string]: unknown },
): Promise<string> => {
  const { id } = message
  const commandId = await client.publish('container.create', {
    image: 'busybox',
    command: ['sleep', '1000'],
    ...message,
  })
  const { type, data } = await client.outcome(commandId)
  t.is(type, 'container.running', `${id}: ${JSON.stringify(data)}`)
  const { pid } = await client.get(id)
  // Between the start and execve init is still the program that built the container.
  const runs = () => readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('sleep\0')
  await t.notThrowsAsync(eventually(`the init of ${id} runs the command`, runs))
  t.not(
    parentOf(pid ?? 0),
    String(await pidOf(stack.config, 'namespace')),
    `${id}: its monitor is its parent`,
  )
  const traces = tracesOf(stack.config, id)
  const { names } = stack.config
  // Of cgroups one or, on version 1, one a hierarchy.
  for (const resource of [names.rootfs(id), names.bundle(id), names.cgroup(id), `lease of ${id}`])
    t.true(
      traces.some((trace) => trace.endsWith(resource)),
      `${id}: the host has its ${resource}, beside ${traces.join()}`,
    )
  return commandId
}

/** Publishes a delete and proves that nothing of the container is left. */
export const deleteAndProve = async (
  t: ExecutionContext,
  { stack, client }: { stack: Stack; client: ContainerClient },
  id: string,
): Promise<string> => {
  const commandId = await client.publish('container.delete', { id, force: true })
  const { type, data } = await client.outcome(commandId)
  t.is(type, 'container.deleted', `${id}: ${JSON.stringify(data)}`)
  t.deepEqual(tracesOf(stack.config, id), [], `${id}: nothing is left`)
  return commandId
}

const isUndo = (point: Injection['point']): boolean => point.endsWith('undo')

export interface Case extends Step {
  point: Injection['point']
  action: Injection['action']
  mode: Mode
}

const idOf = ({ step, point, action, mode }: Case): string => `${mode}-${step}-${point}-${action}`

/** A whole life of one container in which one process dies at one point; answers the ids of its two commands. */
export const liveThrough = async (
  t: ExecutionContext,
  parts: { stack: Stack; client: ContainerClient },
  chosen: Case,
): Promise<string[]> => {
  const { step, service, point, action, mode } = chosen
  const id = idOf(chosen)
  const { config } = parts.stack
  const watched = action === 'kill-service' && service !== 'orchestrator'
  const before = watched ? await pidOf(config, service) : undefined
  const dead = async () => (watched ? replaced(config, service, before) : undefined)

  const created = await createAndProve(t, parts, {
    id,
    ...(mode === 'lab' ? { network_mode: 'lab' } : {}),
    trace: { inject: [{ step, point, action }] },
  })
  if (!isUndo(point)) await dead()
  const deleted = await deleteAndProve(t, parts, id)
  if (isUndo(point)) await dead()
  if (!watched) {
    const takeovers = parts.client.eventsOf(id, 'saga.resumed').length
    t.true(takeovers > 0, `${id}: another orchestrator took the saga over`)
  }
  return [created, deleted]
}

/** Every command has had one outcome, and no more, and the host has nothing that no container explains. */
export const proveExactness = async (
  t: ExecutionContext,
  { client }: { client: ContainerClient },
  commandIds: readonly string[],
): Promise<void> => {
  for (const commandId of commandIds)
    t.is(client.outcomesOf(commandId).length, 1, `command ${commandId} has one outcome`)
  await eventually('no leak is reported', async () => (await client.leaks()).length === 0)
}

/** Milliseconds between the last word of a dead orchestrator and the first of the one that took over, for each takeover in the log. */
export const takeoverTimes = ({ events }: ContainerClient): number[] => {
  const times: number[] = []
  for (const [id, own] of Map.groupBy(events, ({ subject }) => subject)) {
    if (id === '') continue
    own.forEach(({ type, time }, index) => {
      const before = own[index - 1]
      if (type === 'saga.resumed' && before) times.push(Date.parse(time) - Date.parse(before.time))
    })
  }
  return times
}

/** Median and maximum, for the log of a test. */
export const summaryOf = (times: readonly number[]): string => {
  const sorted = times.toSorted((a, b) => a - b)
  return `${sorted.length} takeovers: median ${sorted[Math.floor(sorted.length / 2)] ?? 0} ms, longest ${sorted.at(-1) ?? 0} ms`
}

import { Failure } from './failure.ts'
import { quantity } from './contracts/quantity.ts'

const wrong = (name: string, text: string, advice: string): Failure =>
  new Failure('invalid_message', `cannot use ${name} "${text}": ${advice}`)

/** `class=c7,disk=ssd`, by Docker's rule for labels: anything but a comma may be in a value. */
const labelsOf = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split(',')
      .filter(Boolean)
      .map((label) => {
        const [, key, value] = /^([A-Za-z0-9][A-Za-z0-9._/-]{0,62})=(.{0,255})$/.exec(label.trim()) ?? []
        if (key === undefined || value === undefined)
          throw wrong('DOLLY_NODE_LABELS', text, 'give labels as "class=c7,disk=ssd"')
        return [key, value]
      }),
  )

const numberOf = (env: NodeJS.ProcessEnv, name: string): number | undefined => {
  const text = env[name]
  if (!text) return undefined
  const value = Number(text)
  if (Number.isFinite(value) && value >= 0) return value
  throw wrong(name, text, 'give a number')
}

const memoryOf = (text: string | undefined): number | undefined => {
  if (!text) return undefined
  const bytes = quantity(text)
  if (bytes) return bytes
  throw wrong('DOLLY_NODE_MEMORY', text, 'give a size as "8G"')
}

const usualContainers = 10_000
const usualHeartbeatMs = 5000
const usualReadyRoots = 8

/**
 * What an operator says of a host: labels, and capacity where it is not all that the host has (memory in
 * bytes). Throws `Failure` (`invalid_message`).
 */
export const nodeSettings = (env: NodeJS.ProcessEnv) => ({
  labels: labelsOf(env['DOLLY_NODE_LABELS'] ?? ''),
  cpus: numberOf(env, 'DOLLY_NODE_CPUS'),
  memoryBytes: memoryOf(env['DOLLY_NODE_MEMORY']),
  containers: numberOf(env, 'DOLLY_NODE_CONTAINERS') ?? usualContainers,
  /** Milliseconds between two heartbeats. */
  heartbeatMs: numberOf(env, 'DOLLY_HEARTBEAT_MS') || usualHeartbeatMs,
  /** Roots that are made ahead of need, of each image that was used of late. */
  readyRoots: numberOf(env, 'DOLLY_READY_ROOTS') ?? usualReadyRoots,
})

export type NodeSettings = ReturnType<typeof nodeSettings>

/** The environment that says the same again. */
export const nodeEnvironment = (settings: NodeSettings): Record<string, string> => ({
  DOLLY_NODE_LABELS: Object.entries(settings.labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(),
  DOLLY_NODE_CPUS: settings.cpus === undefined ? '' : String(settings.cpus),
  DOLLY_NODE_MEMORY: settings.memoryBytes === undefined ? '' : String(settings.memoryBytes),
  DOLLY_NODE_CONTAINERS: String(settings.containers),
  DOLLY_HEARTBEAT_MS: String(settings.heartbeatMs),
  DOLLY_READY_ROOTS: String(settings.readyRoots),
})

import { readFile } from 'node:fs/promises'
import { docker } from './docker-daemon.ts'

/** Names of Compose's services that stay, each a container of Docker's. */
export const composeServices = [
  'nats',
  'registrar',
  'storage',
  'cgroup',
  'network',
  'namespace',
  'orchestrator',
] as const
export type ComposeService = (typeof composeServices)[number]

/** The container of Docker's that a service has now. */
export const containerOf = (service: ComposeService): Promise<string> =>
  docker('ps', '--quiet', '--no-trunc', '--filter', `label=com.docker.compose.service=${service}`)

/** The process of a service as the host sees it; undefined while Docker starts it again. */
export const pidOf = async (service: ComposeService): Promise<number | undefined> => {
  const container = await containerOf(service)
  if (!container) return undefined
  return Number(await docker('inspect', '--format', '{{.State.Pid}}', container)) || undefined
}

/** MiB of memory that each of the stack's programs has to itself, shared pages divided. */
export const stackMemory = async (): Promise<Record<string, number>> => {
  const sizes = composeServices.map(async (service) => {
    const rollup = await readFile(`/proc/${await pidOf(service)}/smaps_rollup`, 'utf8')
    return [service, Math.round(Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1]) / 1024)] as const
  })
  return Object.fromEntries(await Promise.all(sizes))
}

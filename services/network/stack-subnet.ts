import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Config } from '../../shared/config.ts'
import { writeDurably } from '../../shared/durable-file.ts'
import { Failure, errnoOf } from '../../shared/failure.ts'
import { type HostRange, conflictOf } from './host-ranges.ts'
import { type Subnet, candidateSubnets, parseSubnet, subnetOf, subnetText } from './subnet.ts'

const State = z.object({ subnet: z.string() })

const stateFile = (config: Config): string => join(config.names.networkState, 'network.json')

const persisted = async (config: Config): Promise<Subnet | undefined> => {
  const file = stateFile(config)
  try {
    const subnet = subnetOf(State.parse(JSON.parse(await readFile(file, 'utf8'))).subnet)
    if (subnet) return subnet
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw new Failure(
      'host_unfit',
      `cannot read ${file}: delete it when no container of ${config.root} is left`,
      { cause: error },
    )
  }
  throw new Failure(
    'host_unfit',
    `cannot read ${file}: it holds no subnet; delete it when no container of ${config.root} is left`,
  )
}

const persist = async (config: Config, subnet: Subnet): Promise<void> => {
  await mkdir(config.names.networkState, { recursive: true, mode: 0o700 })
  await writeDurably(stateFile(config), `${JSON.stringify({ subnet: subnetText(subnet) })}\n`)
}

const inUse = (subnet: Subnet, conflict: string, advice: string): Failure =>
  new Failure(
    'subnet_in_use',
    `cannot use subnet ${subnetText(subnet)}: it overlaps ${conflict}, ${advice}`,
    {
      details: { subnet: subnetText(subnet), conflict },
    },
  )

const choose = (config: Config, ranges: readonly HostRange[]): Subnet => {
  if (config.subnet !== undefined) {
    const wanted = parseSubnet(config.subnet)
    const conflict = conflictOf(wanted, ranges)
    if (conflict)
      throw inUse(wanted, conflict, 'which the host already uses; set DOLLY_SUBNET to a free range')
    return wanted
  }
  const free = candidateSubnets(config.tag).find((candidate) => !conflictOf(candidate, ranges))
  if (!free)
    throw new Failure(
      'subnet_in_use',
      'cannot choose a subnet: the host uses all of 10.64.0.0/10; set DOLLY_SUBNET',
    )
  return free
}

/**
 * The stack's subnet: the one it had, as long as nobody else on the host uses it and the configuration
 * agrees, else the configured one, else the first free one of its own. It only moves while `leases` is 0.
 */
export const stackSubnet = async (
  config: Config,
  ranges: readonly HostRange[],
  leases: number,
): Promise<Subnet> => {
  const had = await persisted(config)
  const conflict = had && conflictOf(had, ranges)
  const agreed =
    had && (config.subnet === undefined || subnetText(parseSubnet(config.subnet)) === subnetText(had))
  if (had && agreed && !conflict) return had
  if (had && leases > 0) {
    if (conflict) throw inUse(had, conflict, `and ${leases} containers have addresses of it; remove either`)
    throw new Failure(
      'busy',
      `cannot change the subnet from ${subnetText(had)} to ${config.subnet}: ${leases} containers have addresses of it`,
    )
  }
  const chosen = choose(config, ranges)
  await persist(config, chosen)
  return chosen
}

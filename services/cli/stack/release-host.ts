import type { z } from 'zod'
import { type Bus, connectBus } from '../../../shared/bus.ts'
import type { Config } from '../../../shared/config.ts'
import type { Operation } from '../../../shared/contracts/contract.ts'
import { objects, release } from '../../../shared/contracts/operations.ts'
import { reasonOf } from '../../../shared/failure.ts'
import { createLog } from '../../../shared/log.ts'
import { everyObject } from '../../../shared/object-pages.ts'
import { patienceMs } from '../../../shared/patience.ts'
import { forgetNode } from '../../../shared/root-node.ts'
import { subjects } from '../../../shared/subjects.ts'
import { parseReply } from '../../../shared/wire.ts'

// What uses goes before what is used: processes, their network, their limits, their file systems.
const releaseOrder = ['namespace', 'network', 'cgroup', 'storage'] as const
/** To unmount writes all to the disk, which may be busy. */
const releaseWaitMs = patienceMs(120_000)

export interface ReleaseResult {
  /** Host-wide objects that were removed. */
  released: string[]
  /** Why a service keeps what it prepared. */
  kept: string[]
  /** Ids of the containers that stay as they are. */
  containers: string[]
}

const ask = async <O extends Operation>(
  bus: Bus,
  config: Config,
  { service, verb, output }: O,
  input: z.input<O['input']>,
): Promise<ReturnType<O['output']['parse']>> => {
  const subject = subjects.host(config.node, service, verb)
  const reply = await bus.request(subject, input, { timeoutMs: releaseWaitMs })
  return parseReply(output, reply, subject).output as ReturnType<O['output']['parse']>
}

const releaseInOrder = async (config: Config, bus: Bus): Promise<ReleaseResult> => {
  const result = { released: [] as string[], kept: [] as string[], containers: new Set<string>() }
  for (const service of releaseOrder) {
    try {
      const owned = await everyObject((page) => ask(bus, config, objects[service], page))
      for (const { container } of owned) if (container) result.containers.add(container)
      result.released.push(...(await ask(bus, config, release[service], {})).released)
    } catch (error) {
      result.kept.push(`${service}: ${reasonOf(error)}`)
    }
  }
  if (result.kept.length === 0 && result.containers.size === 0) await forgetNode(config)
  return { ...result, containers: [...result.containers] }
}

/**
 * Asks each host service to remove the host-wide objects that it prepared; a service whose objects
 * containers still use keeps them and says so. When nothing is left, the root may become another node's.
 */
export const releaseHost = async (config: Config): Promise<ReleaseResult> => {
  const log = createLog({}, 'silent')
  try {
    const bus = await connectBus(config, { role: 'operator', log, patient: false })
    try {
      return await releaseInOrder(config, bus)
    } finally {
      await bus.close()
    }
  } catch (error) {
    return { released: [], kept: [reasonOf(error)], containers: [] }
  }
}

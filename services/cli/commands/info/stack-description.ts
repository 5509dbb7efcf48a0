import { busAccess } from '../../../../shared/config.ts'
import { networkInfo } from '../../../../shared/contracts/operations.ts'
import { Failure, reasonOf } from '../../../../shared/failure.ts'
import { projectVersion } from '../../../../shared/version.ts'
import { askHost } from '../bus/ask.ts'
import type { Session } from '../bus/session.ts'

const services = ['storage', 'cgroup', 'network', 'namespace', 'orchestrator'] as const

/** One service of this stack as it answers now. */
export interface ServiceState {
  name: string
  running: boolean
  /** Process ids of those that answer; several orchestrators may. */
  pids: number[]
}

const stateOf = async ({ bus, config }: Session, name: string): Promise<ServiceState> => {
  const answers = await bus.ping(name)
  // Orchestrators serve every node; a host service of another node is not ours.
  const ours = answers.filter(({ metadata }) => name === 'orchestrator' || metadata['node'] === config.node)
  return {
    name,
    running: ours.length > 0,
    pids: ours.map(({ metadata }) => Number(metadata['pid'])).filter(Boolean),
  }
}

const networkOf = async ({ bus, config }: Session) => {
  try {
    return await askHost(bus, config.node, networkInfo, {})
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { bridge: config.names.bridge, subnet: null, gateway: null, error: reasonOf(error) }
  }
}

/** Where this stack is, how a client reaches it, and how it does. */
export const describeStack = async (session: Session) => {
  const { bus, config } = session
  const [network, states] = await Promise.all([
    networkOf(session),
    Promise.all(services.map((name) => stateOf(session, name))),
  ])
  const { url, user = null, password = null } = busAccess(config, 'client')
  return {
    node: config.node,
    root: config.root,
    ...network,
    cgroup: `/${config.names.cgroupParent}`,
    nftTable: config.names.nftTable,
    nats: { url, user, password },
    versions: { dolly: projectVersion(), node: process.version, nats: bus.info().version },
    services: states,
  }
}

export type StackDescription = Awaited<ReturnType<typeof describeStack>>

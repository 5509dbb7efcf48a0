import { join } from 'node:path'
import type { Config } from '../../shared/config.ts'
import { networkInfo, objects, release } from '../../shared/contracts/operations.ts'
import { labNetwork, network } from '../../shared/contracts/steps.ts'
import { Failure } from '../../shared/failure.ts'
import { pageOfObjects } from '../../shared/object-pages.ts'
import { type HostServiceDefinition, endpoint, stepEndpoints } from '../../shared/service.ts'
import { createAddressLeases } from './addresses.ts'
import { createEndpoints } from './endpoint.ts'
import { createFurtherBridges, usualPorts } from './further-bridges.ts'
import { createIdLeases } from './id-leases.ts'
import { createIpCoprocess } from './ip-batch.ts'
import { createLabEndpoints } from './lab.ts'
import { createLinkRemover } from './link-remover.ts'
import { createNamespaceMaker } from './namespace-maker.ts'
import { createNetnsProgram } from './netns-program.ts'
import { createSpoofGuard } from './spoof-guard.ts'
import { prepareStack, releaseStack, restoreFirewall } from './stack-network.ts'
import { stackObjects } from './stack-objects.ts'
import { requireOwnPool } from './subordinate-ids.ts'
import { type Subnet, gatewayOf, subnetText } from './subnet.ts'
import { requireTools } from './tools.ts'

/** Connects containers: a bridge of the stack's own, and per container a named namespace with a configured `eth0`. */
export const networkService = (
  config: Config,
  { portsPerBridge = usualPorts }: { portsPerBridge?: number } = {},
): HostServiceDefinition => {
  const leases = createAddressLeases(join(config.names.networkState, 'addresses'), portsPerBridge)
  const [host, program, ids] = [createIpCoprocess(), createNetnsProgram(), createIdLeases(config)]
  const [maker, remover] = [createNamespaceMaker(program), createLinkRemover(program)]
  let prepared: Subnet | undefined
  let releasing = false
  const subnet = (): Subnet => {
    if (!prepared)
      throw new Failure(
        'unavailable',
        `the network of ${config.root} is released; start the stack with "dolly up"`,
      )
    return prepared
  }
  const guard = createSpoofGuard(config)
  const bridges = createFurtherBridges({ config, subnet, host, portsPerBridge })
  const parts = { config, subnet, leases, ids, host, guard, maker, bridges, remover }
  const endpoints = createEndpoints(parts)
  const lab = createLabEndpoints(parts)
  const pools = { addresses: [leases, lab.leases], ids, guard, bridges }

  return {
    name: 'network',
    description: 'Bridge, address leases, network namespaces and veth pairs',
    prepare: async ({ record, log }) => {
      requireTools()
      requireOwnPool(config)
      prepared = await prepareStack(record, log, { config, leases, guard })
      program.start()
    },
    facts: () => (prepared ? { subnet: subnetText(prepared) } : {}),
    endpoints: [
      ...stepEndpoints(network, {
        do: (input, { record }) => endpoints.do(input, record),
        undo: ({ id }, { record }) => endpoints.undo(id, record),
      }),
      ...stepEndpoints(labNetwork, {
        do: (input, { record }) => lab.do(input, record),
        undo: ({ id }, { record }) => lab.undo(id, record),
      }),
      endpoint(networkInfo, async () => ({
        bridge: config.names.bridge,
        subnet: subnetText(subnet()),
        gateway: gatewayOf(subnet()),
      })),
      endpoint(objects.network, async ({ cursor }, { record, log }) => {
        const listed = await stackObjects(record, config, pools)
        if (!prepared || releasing || listed.some(({ kind }) => kind === 'nft-table'))
          return pageOfObjects(listed, cursor)
        log.warn('the tables of the stack are gone: making them again')
        await restoreFirewall(record, { config, subnet: prepared, guard })
        return pageOfObjects(await stackObjects(record, config, pools), cursor)
      }),
      endpoint(release.network, async (_, { record }) => {
        releasing = true
        const released = await releaseStack(record, config, pools, remover).finally(() => (releasing = false))
        prepared = undefined
        await program.end()
        host.end()
        return { released }
      }),
    ],
  }
}

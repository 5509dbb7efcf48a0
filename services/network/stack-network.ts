import type { Config } from '../../shared/config.ts'
import { Failure } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import type { Recorder } from '../../shared/recorder.ts'
import type { AddressLeases } from './addresses.ts'
import { ensureBridge, rememberedForwarding } from './bridge.ts'
import { ensureFirewall, hasFirewall, removeFirewall } from './firewall.ts'
import { admitThroughDocker, withdrawFromDocker } from './foreign-firewall.ts'
import { forwardingBefore, restoreForwarding, switchForwardingOn } from './forwarding.ts'
import { hostRanges } from './host-ranges.ts'
import { interfaces } from './interfaces.ts'
import type { LinkRemover } from './link-remover.ts'
import { type LeasePools, containerObjects } from './stack-objects.ts'
import { stackSubnet } from './stack-subnet.ts'
import type { SpoofGuard } from './spoof-guard.ts'
import type { Subnet } from './subnet.ts'

/** Makes the stack's tables, with all whom the guard guards: somebody may have flushed the whole ruleset. */
export const restoreFirewall = async (
  record: Recorder,
  { config, subnet, guard }: { config: Config; subnet: Subnet; guard: SpoofGuard },
): Promise<void> => {
  await ensureFirewall(record, config, subnet)
  await guard.restore(record)
}

/** Makes or completes what all the stack's containers share, and answers its subnet. */
export const prepareStack = async (
  record: Recorder,
  log: Log,
  { config, leases, guard }: { config: Config; leases: AddressLeases; guard: SpoofGuard },
): Promise<Subnet> => {
  const ranges = await hostRanges(record, config.names.bridge)
  const subnet = await stackSubnet(config, ranges, leases.all().length)
  await ensureBridge(record, config, subnet, await forwardingBefore(config.names.bridge))
  await restoreFirewall(record, { config, subnet, guard })
  await switchForwardingOn(record)
  const obstacle = await admitThroughDocker(record, config)
  if (obstacle) log.warn({ obstacle }, 'another firewall keeps containers from the outside')
  return subnet
}

/**
 * Removes what the stack's containers shared and puts forwarding back; absent is success. Throws `Failure`
 * (`busy`) that names the containers still there.
 */
export const releaseStack = async (
  record: Recorder,
  config: Config,
  pools: LeasePools,
  remover: LinkRemover,
): Promise<string[]> => {
  const left = containerObjects(config, pools)
  if (left.length > 0) {
    const containers = [...new Set(left.map(({ container, name }) => container ?? name))]
    throw new Failure(
      'busy',
      `cannot release the network: ${containers.length} containers use it (${containers.slice(0, 5).join(', ')})`,
      {
        details: { objects: left },
      },
    )
  }
  const { bridge, nftTable } = config.names
  const released: string[] = []
  const before = rememberedForwarding(bridge)
  await withdrawFromDocker(record, config)
  if (await hasFirewall(record, config)) {
    await removeFirewall(record, config)
    released.push(`nft-table inet ${nftTable}`)
  }
  released.push(...(await pools.bridges.remove(record)).map((name) => `bridge ${name}`))
  if (interfaces.isBridge(bridge)) {
    await remover.remove(record, bridge)
    released.push(`bridge ${bridge}`)
  }
  pools.ids.end()
  if (await restoreForwarding(record, before)) released.push('ip_forward')
  return released
}

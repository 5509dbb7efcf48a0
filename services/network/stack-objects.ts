import type { Config } from '../../shared/config.ts'
import type { Leak } from '../../shared/contracts/operations.ts'
import type { Recorder } from '../../shared/recorder.ts'
import type { AddressLeases } from './addresses.ts'
import type { FurtherBridges } from './further-bridges.ts'
import type { IdLeases } from './id-leases.ts'
import { hasFirewall } from './firewall.ts'
import { interfaces, namedNamespaces } from './interfaces.ts'
import type { SpoofGuard } from './spoof-guard.ts'

/** The container that an interface's alias names, or null: an interface can outlive the making of its alias only in a crash. */
const ownerOf = (name: string, prefix: string): string | null => {
  const alias = interfaces.alias(name)
  return alias.startsWith(prefix) ? (alias.slice(prefix.length).split(':')[0] ?? null) : null
}

/** What the stack has leased to containers. */
export interface LeasePools {
  addresses: readonly AddressLeases[]
  ids: IdLeases
  guard: SpoofGuard
  bridges: FurtherBridges
}

/** Every object of the stack's containers on this host: namespaces, interfaces and leases. */
export const containerObjects = ({ names }: Config, pools: LeasePools): Leak[] => {
  const prefix = names.netnsPrefix
  const netns = namedNamespaces
    .list()
    .filter((name) => name.startsWith(prefix))
    .map((name) => ({ kind: 'netns', name, container: name.slice(prefix.length) }))
  const veths = interfaces
    .list()
    .filter((name) => name.startsWith(names.vethPrefix) || ownerOf(name, prefix) !== null)
    .map((name) => ({ kind: 'veth', name, container: ownerOf(name, prefix) }))
  const addresses = pools.addresses.flatMap((pool) =>
    pool.all().map(({ address, id }) => ({ kind: 'address', name: address, container: id })),
  )
  const ids = pools.ids.all().map(({ id, first }) => ({ kind: 'ids', name: String(first), container: id }))
  const guards = pools.guard.all().map((id) => ({ kind: 'guard', name: names.veth(id), container: id }))
  return [...netns, ...veths, ...addresses, ...ids, ...guards]
}

/** The containers' objects and the stack's own: its bridge and its nftables table. */
export const stackObjects = async (record: Recorder, config: Config, pools: LeasePools): Promise<Leak[]> => {
  const { bridge, nftTable } = config.names
  return [
    ...containerObjects(config, pools),
    ...[bridge, ...pools.bridges.all()]
      .filter((name) => interfaces.exists(name))
      .map((name) => ({ kind: 'bridge', name, container: null })),
    ...((await hasFirewall(record, config))
      ? [{ kind: 'nft-table', name: `inet ${nftTable}`, container: null }]
      : []),
  ]
}

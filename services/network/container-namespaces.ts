import type { z } from 'zod'
import { type Config, idsPerContainer } from '../../shared/config.ts'
import type { network } from '../../shared/contracts/steps.ts'
import type { Recorder } from '../../shared/recorder.ts'
import type { AddressLeases } from './addresses.ts'
import type { IdLeases } from './id-leases.ts'
import type { FurtherBridges } from './further-bridges.ts'
import { interfaces, namedNamespaces } from './interfaces.ts'
import type { IpCoprocess } from './ip-batch.ts'
import type { LinkRemover } from './link-remover.ts'
import type { Interface, NamespaceMaker } from './namespace-maker.ts'
import { type SpoofGuard, canForge, hardwareAddressOf } from './spoof-guard.ts'
import { type Subnet, gatewayOf } from './subnet.ts'

type Input = z.output<typeof network.input>

const addressOnly = (address: string): string => address.split('/')[0] ?? ''

/** What endpoints are made with. */
export interface EndpointParts {
  config: Config
  subnet: () => Subnet
  leases: AddressLeases
  ids: IdLeases
  host: IpCoprocess
  guard: SpoofGuard
  maker: NamespaceMaker
  bridges: FurtherBridges
  remover: LinkRemover
}

/**
 * The named network namespace of a container and the user namespace that comes with it, since it must own
 * it: sysfs, `net.*` settings and NET_ADMIN inside ask the owner. The name of the one keeps both; on the
 * host's network the named one is only there for that.
 */
export const createNamedNamespaces = ({
  config: { names, icc },
  subnet,
  ids,
  host,
  guard,
  maker,
  bridges,
  remover,
}: EndpointParts) => {
  /** The name is given last, so a named namespace is a configured one; its host end may have been taken since. */
  const isComplete = (id: string, mode: Input['networkMode'], address?: string): boolean => {
    if (!namedNamespaces.isMounted(names.netns(id))) return false
    const veth = names.veth(id)
    if (mode !== 'bridge') return !interfaces.exists(veth)
    const bridge = address === undefined ? names.bridge : bridges.nameFor(addressOnly(address))
    return interfaces.master(veth) === bridge && interfaces.isUp(veth)
  }

  const remove = async (record: Recorder, id: string): Promise<void> => {
    const netns = names.netns(id)
    await Promise.all([
      // A process may still hold the namespace open: its interface has to go all the same.
      remover.remove(record, names.veth(id)),
      namedNamespaces.exists(netns) ? host.run(record, [`netns delete ${netns}`]) : undefined,
      guard.release(record, id),
    ])
  }

  const linkOf = (id: string, address: string): Interface => ({
    veth: names.veth(id),
    alias: names.netns(id),
    bridge: bridges.nameFor(addressOnly(address)),
    address: addressOnly(address),
    prefixLength: subnet().length,
    gateway: gatewayOf(subnet()),
    hardwareAddress: hardwareAddressOf(addressOnly(address)),
    isolated: !icc,
  })

  /** Makes what is not there, with an interface when it is given an address; answers the user namespace. */
  const ensure = async (
    { id, networkMode, usernsMode, process }: Input,
    record: Recorder,
    address?: string,
  ) => {
    const lease = usernsMode === 'auto' ? ids.lease(id) : undefined
    // A range that is new has not been mapped by any namespace that is there.
    if (lease?.fresh || !isComplete(id, networkMode, address)) {
      await remove(record, id)
      if (address !== undefined) await bridges.ensure(record, addressOnly(address))
      // Before anything can run in it.
      if (address !== undefined && canForge(process.capabilities))
        await guard.guard(record, id, addressOnly(address))
      await maker.make(record, {
        name: names.netns(id),
        path: names.netnsPath(id),
        ids: lease && { first: lease.first, count: idsPerContainer },
        link: address === undefined ? undefined : linkOf(id, address),
      })
    }
    const userNamespace = lease && {
      ownerOf: names.netnsPath(id),
      hostID: lease.first,
      size: idsPerContainer,
    }
    return { userNamespace: userNamespace ?? null }
  }

  return { ensure, remove }
}

import type { z } from 'zod'
import { type Config, idsPerContainer } from '../../shared/config.ts'
import type { network } from '../../shared/contracts/steps.ts'
import type { Recorder } from '../../shared/recorder.ts'
import type { AddressLeases } from './addresses.ts'
import type { IdLeases } from './id-leases.ts'
import { interfaces, namedNamespaces } from './interfaces.ts'
import type { IpCoprocess } from './ip-batch.ts'
import type { LinkRemover } from './link-remover.ts'
import type { SpareNamespace, SpareNamespaces } from './spare-namespaces.ts'
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
  /** By whom they are owned. */
  spares: Record<Input['usernsMode'], SpareNamespaces>
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
  spares,
  remover,
}: EndpointParts) => {
  /** The name is given last, so a named namespace is a configured one; its host end may have been taken since. */
  const isComplete = (id: string, mode: Input['networkMode']): boolean => {
    if (!namedNamespaces.isMounted(names.netns(id))) return false
    const veth = names.veth(id)
    if (mode !== 'bridge') return !interfaces.exists(veth)
    return interfaces.master(veth) === names.bridge && interfaces.isUp(veth)
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

  const mapIds = async (record: Recorder, pid: number, first: number): Promise<void> => {
    for (const file of ['uid_map', 'gid_map'])
      await record.write(`/proc/${pid}/${file}`, `0 ${first} ${idsPerContainer}`)
  }

  const connect = async (record: Recorder, id: string, { batch, pid }: SpareNamespace, address: string) => {
    const [veth, gateway] = [names.veth(id), gatewayOf(subnet())]
    // By pid, not by name: ip opens a named namespace and a co-process would hold it open for ever.
    await host.run(record, [
      `link add name ${veth} type veth peer name eth0 address ${hardwareAddressOf(addressOnly(address))} netns ${pid}`,
    ])
    await batch.run(
      record,
      [
        'link set dev eth0 up',
        `address add ${address} broadcast + dev eth0`,
        `route add default via ${gateway}`,
      ],
      `nsenter --net=/proc/${pid}/ns/net ip`,
    )
    await host.run(record, [
      `link set dev ${veth} alias ${names.netns(id)} master ${names.bridge} up`,
      ...(icc ? [] : [`link set dev ${veth} type bridge_slave isolated on`]),
    ])
  }

  /** Makes what is not there, with an interface when it is given an address; answers the user namespace. */
  const ensure = async (
    { id, networkMode, usernsMode, process }: Input,
    record: Recorder,
    address?: string,
  ) => {
    const lease = usernsMode === 'auto' ? ids.lease(id) : undefined
    // A range that is new has not been mapped by any namespace that is there.
    if (lease?.fresh || !isComplete(id, networkMode)) {
      await remove(record, id)
      await spares[usernsMode].with(async (spare) => {
        if (lease) await mapIds(record, spare.pid, lease.first)
        if (address !== undefined) await connect(record, id, spare, address)
        // Before anything runs in it.
        if (address !== undefined && canForge(process.capabilities))
          await guard.guard(record, id, addressOnly(address))
        // Last: until it has a name, the namespace and its veth die with the process, and a crash leaves nothing.
        await host.run(record, [`netns attach ${names.netns(id)} ${spare.pid}`])
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

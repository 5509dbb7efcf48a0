import type { z } from 'zod'
import type { Config } from '../../shared/config.ts'
import type { network } from '../../shared/contracts/steps.ts'
import { Failure, reasonOf } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'
import type { AddressLeases } from './addresses.ts'
import { interfaces, namedNamespaces } from './interfaces.ts'
import type { IpCoprocess } from './ip-batch.ts'
import type { LinkRemover } from './link-remover.ts'
import { bridgeResolver, hostResolver } from './resolver.ts'
import type { SpareNamespaces } from './spare-namespaces.ts'
import { type Subnet, containerRange, gatewayOf } from './subnet.ts'

type Input = z.output<typeof network.input>
type Output = z.input<typeof network.output>

/** What endpoints are made with. */
export interface EndpointParts {
  config: Config
  subnet: () => Subnet
  leases: AddressLeases
  host: IpCoprocess
  spares: SpareNamespaces
  remover: LinkRemover
}

const failing = async <T>(what: string, act: () => Promise<T>): Promise<T> => {
  try {
    return await act()
  } catch (error) {
    if (!(error instanceof Failure) || error.code === 'no_capacity') throw error
    throw new Failure(error.code, `cannot ${what}: ${reasonOf(error)}`, {
      details: error.details,
      cause: error,
    })
  }
}

/** A container's end of the network: a named namespace, and on the bridge a veth pair and a leased address. */
export const createEndpoints = ({
  config: { names },
  subnet,
  leases,
  host,
  spares,
  remover,
}: EndpointParts) => {
  /** The name is given last, so a named namespace is a configured one; its host end may have been taken since. */
  const isComplete = (id: string, mode: Input['networkMode']): boolean => {
    if (!namedNamespaces.isMounted(names.netns(id))) return false
    const veth = names.veth(id)
    if (mode === 'none') return !interfaces.exists(veth)
    return interfaces.master(veth) === names.bridge && interfaces.isUp(veth)
  }

  const remove = async (record: Recorder, id: string): Promise<void> => {
    const netns = names.netns(id)
    await Promise.all([
      // A process may still hold the namespace open: its interface has to go all the same.
      remover.remove(record, names.veth(id)),
      namedNamespaces.exists(netns) ? host.run(record, [`netns delete ${netns}`]) : undefined,
    ])
  }

  const connect = (record: Recorder, id: string, address: string) =>
    spares.with(async ({ batch, pid }) => {
      const [veth, netns, gateway] = [names.veth(id), names.netns(id), gatewayOf(subnet())]
      // By pid, not by name: ip opens a named namespace and a co-process would hold it open for ever.
      await host.run(record, [`link add name ${veth} type veth peer name eth0 netns ${pid}`])
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
        `link set dev ${veth} alias ${netns} master ${names.bridge} up`,
        // Last: until it has a name, the namespace and its veth die with the process, and a crash leaves nothing.
        `netns attach ${netns} ${pid}`,
      ])
    })

  const bridge = async ({ id, dns, dnsSearch }: Input, record: Recorder): Promise<Output> => {
    const address = `${leases.lease(id, containerRange(subnet()))}/${subnet().length}`
    if (!isComplete(id, 'bridge')) {
      await remove(record, id)
      await connect(record, id, address)
    }
    return {
      networkNamespace: names.netnsPath(id),
      address,
      gateway: gatewayOf(subnet()),
      hostInterface: names.veth(id),
      ...(await bridgeResolver({ nameservers: dns, search: dnsSearch })),
    }
  }

  const none = async ({ id, dns, dnsSearch }: Input, record: Recorder): Promise<Output> => {
    if (!isComplete(id, 'none')) {
      await remove(record, id)
      await spares.with(({ pid }) => host.run(record, [`netns attach ${names.netns(id)} ${pid}`]))
    }
    const nothing = { address: null, gateway: null, hostInterface: null }
    return { networkNamespace: names.netnsPath(id), ...nothing, nameservers: dns, search: dnsSearch }
  }

  const hostNetwork = async ({ dns, dnsSearch }: Input): Promise<Output> => ({
    networkNamespace: null,
    address: null,
    gateway: null,
    hostInterface: null,
    ...(await hostResolver({ nameservers: dns, search: dnsSearch })),
  })

  return {
    do: (input: Input, record: Recorder): Promise<Output> =>
      failing(`connect ${input.id} to the network`, () => {
        switch (input.networkMode) {
          case 'bridge':
            return bridge(input, record)
          case 'none':
            return none(input, record)
          case 'host':
            return hostNetwork(input)
          case 'lab':
            throw new Failure('invalid_message', 'network mode "lab" has a step of its own, lab-network')
        }
      }),
    undo: (id: string, record: Recorder): Promise<void> =>
      failing(`disconnect ${id} from the network`, async () => {
        await remove(record, id)
        // Only now: while the interface was there, its address was not free.
        leases.release(id)
      }),
  }
}

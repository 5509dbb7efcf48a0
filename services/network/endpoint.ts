import type { z } from 'zod'
import type { network } from '../../shared/contracts/steps.ts'
import { Failure, reasonOf } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { type EndpointParts, createNamedNamespaces } from './container-namespaces.ts'
import { bridgeResolver, hostResolver } from './resolver.ts'
import { containerRange, gatewayOf } from './subnet.ts'

type Input = z.output<typeof network.input>
type Output = z.input<typeof network.output>

const withoutInterface = { address: null, gateway: null, hostInterface: null }

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
export const createEndpoints = (parts: EndpointParts) => {
  const {
    config: { names },
    subnet,
    leases,
    ids,
  } = parts
  const { ensure, remove } = createNamedNamespaces(parts)

  const bridge = async (input: Input, record: Recorder): Promise<Output> => {
    const { id, dns, dnsSearch } = input
    const address = `${leases.lease(id, containerRange(subnet()))}/${subnet().length}`
    return {
      networkNamespace: names.netnsPath(id),
      ...(await ensure(input, record, address)),
      address,
      gateway: gatewayOf(subnet()),
      hostInterface: names.veth(id),
      ...bridgeResolver({ nameservers: dns, search: dnsSearch }),
    }
  }

  const none = async (input: Input, record: Recorder): Promise<Output> => ({
    networkNamespace: names.netnsPath(input.id),
    ...(await ensure(input, record)),
    ...withoutInterface,
    nameservers: input.dns,
    search: input.dnsSearch,
  })

  const hostNetwork = async (input: Input, record: Recorder): Promise<Output> => ({
    networkNamespace: null,
    ...(input.usernsMode === 'auto' ? await ensure(input, record) : {}),
    ...withoutInterface,
    ...hostResolver({ nameservers: input.dns, search: input.dnsSearch }),
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
            return hostNetwork(input, record)
          case 'lab':
            throw new Failure('invalid_message', 'network mode "lab" has a step of its own, lab-network')
        }
      }),
    undo: (id: string, record: Recorder): Promise<void> =>
      failing(`disconnect ${id} from the network`, async () => {
        await remove(record, id)
        // Only now: while the interface was there, its address was not free, nor were the ids.
        leases.release(id)
        ids.release(id)
      }),
  }
}

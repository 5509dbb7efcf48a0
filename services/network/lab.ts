import { join } from 'node:path'
import type { z } from 'zod'
import type { labNetwork } from '../../shared/contracts/steps.ts'
import { Failure, reasonOf } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { type AddressLeases, createAddressLeases } from './addresses.ts'
import { addressesOf } from './bridge.ts'
import type { EndpointParts } from './container-namespaces.ts'
import { interfaces } from './interfaces.ts'
import { startIpBatch } from './ip-batch.ts'
import { containerRange, gatewayOf, subnetOf } from './subnet.ts'

type Output = z.input<typeof labNetwork.output>

interface Borrowed {
  bridge: string
  gateway: string
  length: number
  lease: (id: string) => string
}

const dockerBridge = 'docker0'

/** `<name of the container's namespace> <address>`: on the host end, whose own name says nothing of the container. */
const labAlias = (netns: string, address: string): string => `${netns}:${address}`

/** The address at the end of a lab interface's alias, or undefined. */
export const addressInAlias = (alias: string): string | undefined => /:(\d+\.\d+\.\d+\.\d+)$/.exec(alias)?.[1]

/**
 * The lab's own way: the peer of a veth pair is moved by pid into a process that already runs. Its host
 * end is called `h<PID>` as in the lab, which does not follow from the container's id: so it bears the
 * name that does as its alternative name, by which it is found and deleted.
 */
export const createLabEndpoints = ({ config: { names }, subnet, leases, host, remover }: EndpointParts) => {
  const borrowedLeases: AddressLeases = createAddressLeases(join(names.networkState, 'lab-addresses'))

  /** docker0 from `.0.128` upwards, as in the lab: Docker itself gives addresses from the bottom. */
  const borrow = async (record: Recorder): Promise<Borrowed> => {
    const [address] = interfaces.isBridge(dockerBridge) ? await addressesOf(record, dockerBridge) : []
    const range = address === undefined ? undefined : subnetOf(address)
    if (!address || !range) {
      const lease = (id: string) => leases.lease(id, containerRange(subnet()))
      return { bridge: names.bridge, gateway: gatewayOf(subnet()), length: subnet().length, lease }
    }
    const { last } = containerRange(range)
    const first = Math.min(range.network + Math.min(128, 2 ** (31 - range.length)), last)
    const gateway = address.split('/')[0] ?? ''
    return {
      bridge: dockerBridge,
      gateway,
      length: range.length,
      lease: (id) => {
        // Other stacks lease from docker0 too; what they have is on their interfaces.
        const taken = interfaces.ports(dockerBridge).map((port) => addressInAlias(interfaces.alias(port)))
        return borrowedLeases.lease(id, { first, last }, (free) => free !== gateway && !taken.includes(free))
      },
    }
  }

  const hostEnd = (id: string): string | undefined =>
    interfaces.list().find((name) => interfaces.alias(name).startsWith(`${names.netns(id)}:`))

  const remove = async (record: Recorder, id: string): Promise<void> => {
    const name = hostEnd(id)
    if (name) await remover.remove(record, name)
    // Its alias is set last: what an interrupted attempt left has the alternative name alone.
    // A process of its own: a running ip does not forget alternative names. Exit code 1: no such interface.
    await record.run('ip', ['link', 'delete', 'dev', names.veth(id)], { allow: [1] })
  }

  const attach = async (record: Recorder, id: string, pid: number): Promise<Output> => {
    const { bridge, gateway, length, lease } = await borrow(record)
    const address = lease(id)
    const [outside, inside] = [`h${pid}`, `c${pid}`]
    const output = { address: `${address}/${length}`, gateway, hostInterface: outside }
    const alias = labAlias(names.netns(id), address)
    if (interfaces.alias(outside) === alias && interfaces.master(outside) === bridge) return output
    await remove(record, id)
    await host.run(record, [
      `link add name ${outside} type veth peer name ${inside}`,
      `link property add dev ${outside} altname ${names.veth(id)}`,
      `link set ${inside} netns ${pid}`,
      `link set ${outside} master ${bridge} up`,
    ])
    const enter = ['nsenter', `--net=/proc/${pid}/ns/net`]
    const batch = startIpBatch(enter)
    try {
      await batch.run(
        record,
        [
          'link set lo up',
          `link set ${inside} name eth0 up`,
          `addr add ${address}/${length} dev eth0`,
          `route add default via ${gateway}`,
        ],
        [...enter, 'ip'].join(' '),
      )
    } finally {
      batch.end()
    }
    await host.run(record, [`link set dev ${outside} alias ${alias}`])
    return output
  }

  const failing = async <T>(what: string, act: () => Promise<T>): Promise<T> => {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      throw new Failure(error.code, `cannot ${what}: ${reasonOf(error)}`, {
        details: error.details,
        cause: error,
      })
    }
  }

  return {
    leases: borrowedLeases,
    do: ({ id, pid }: z.output<typeof labNetwork.input>, record: Recorder): Promise<Output> =>
      failing(`attach ${id} to the lab's network`, () => {
        if (pid === undefined || pid < 1)
          throw new Failure('invalid_message', 'pid: the process to attach is missing')
        return attach(record, id, pid)
      }),
    undo: (id: string, record: Recorder): Promise<void> =>
      failing(`detach ${id} from the lab's network`, async () => {
        await remove(record, id)
        borrowedLeases.release(id)
        leases.release(id)
      }),
  }
}

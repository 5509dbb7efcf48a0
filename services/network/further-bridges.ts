import type { Config } from '../../shared/config.ts'
import { Failure } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { bridgeType, makeNoAddress } from './bridge.ts'
import { interfaces } from './interfaces.ts'
import type { IpCoprocess } from './ip-batch.ts'
import { type Subnet, addressNumber, containerRange } from './subnet.ts'

/** Containers on one bridge: the kernel gives it 1023 ports (net/bridge/br_private.h), of which some lead to further bridges. */
export const usualPorts = 1000

interface Parts {
  config: Config
  subnet: () => Subnet
  host: IpCoprocess
  portsPerBridge: number
}

/**
 * Bridges behind the stack's own, each on one of its ports: all are one link, with one subnet and one gateway. Which
 * of them a container is on follows from its address, so nothing has to be remembered.
 */
export const createFurtherBridges = ({ config: { names, icc }, subnet, host, portsPerBridge }: Parts) => {
  const making = new Map<string, Promise<void>>()
  const pattern = new RegExp(`^${names.bridge}-(\\d+)$`)
  const mark = `port of ${names.bridge}`

  const numberOf = (address: string): number =>
    Math.floor((addressNumber(address) - containerRange(subnet()).first) / portsPerBridge)

  const isWhole = (bridge: string, uplink: string): boolean =>
    interfaces.isBridge(bridge) &&
    interfaces.isUp(bridge) &&
    interfaces.master(uplink) === names.bridge &&
    interfaces.isUp(uplink)

  const make = async (record: Recorder, number: number): Promise<void> => {
    const [bridge, uplink, inner] = [
      names.furtherBridge(number),
      names.uplink(number),
      names.uplinkPeer(number),
    ]
    if (interfaces.exists(bridge) && interfaces.alias(bridge) !== mark && interfaces.alias(bridge) !== '')
      throw new Failure(
        'host_unfit',
        `cannot create bridge ${bridge}: the host has an interface of that name`,
      )
    const isolated = icc ? [] : [`link set dev ${uplink} type bridge_slave isolated on`]
    await host.run(record, [
      ...(interfaces.exists(uplink) ? [`link delete dev ${uplink}`] : []),
      ...(interfaces.exists(bridge)
        ? []
        : [`link add name ${bridge} ${bridgeType}`, ...makeNoAddress(bridge)]),
      `link set dev ${bridge} alias "${mark}"`,
      `link set dev ${bridge} up`,
      `link add name ${inner} master ${bridge} type veth peer name ${uplink}`,
      ...[inner, uplink].flatMap(makeNoAddress),
      `link set dev ${inner} up`,
      `link set dev ${uplink} master ${names.bridge}`,
      // Before it is up: those behind it shall not reach the others for a moment either.
      ...isolated,
      `link set dev ${uplink} up`,
    ])
  }

  const all = (): string[] => interfaces.list().filter((name) => pattern.test(name))

  return {
    /** Every further bridge that is there. */
    all,
    /** The bridge that a container with this address belongs to. */
    nameFor: (address: string): string =>
      numberOf(address) === 0 ? names.bridge : names.furtherBridge(numberOf(address)),
    /** Makes that bridge when it is not there. Throws `Failure`. */
    ensure: async (record: Recorder, address: string): Promise<void> => {
      const number = numberOf(address)
      const bridge = names.furtherBridge(number)
      if (number === 0 || isWhole(bridge, names.uplink(number))) return
      const made = making.get(bridge) ?? make(record, number).finally(() => making.delete(bridge))
      making.set(bridge, made)
      await made
    },
    /** Removes all of them; absent is success. */
    remove: async (record: Recorder): Promise<string[]> => {
      const gone = all()
      const uplinks = gone.map((name) => names.uplink(Number(pattern.exec(name)?.[1])))
      const links = [...uplinks.filter((name) => interfaces.exists(name)), ...gone]
      if (links.length > 0)
        await host.run(
          record,
          links.map((name) => `link delete dev ${name}`),
        )
      return gone
    },
  }
}

export type FurtherBridges = ReturnType<typeof createFurtherBridges>

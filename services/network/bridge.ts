import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { z } from 'zod'
import type { Config } from '../../shared/config.ts'
import { Failure } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { interfaces } from './interfaces.ts'
import { type Subnet, gatewayOf, subnetText } from './subnet.ts'

const Addresses = z.array(
  z
    .object({ addr_info: z.array(z.object({ local: z.string(), prefixlen: z.number() })).default([]) })
    .partial(),
)

/** IPv4 addresses of an interface, as `a.b.c.d/len`. */
export const addressesOf = async (record: Recorder, name: string): Promise<string[]> => {
  const links = Addresses.parse(
    JSON.parse((await record.run('ip', ['-j', '-4', 'address', 'show', 'dev', name])) || '[]'),
  )
  return links.flatMap(({ addr_info = [] }) =>
    addr_info.map(({ local, prefixlen }) => `${local}/${prefixlen}`),
  )
}

const aliasPattern = /^ip_forward=([01])$/

/** The host's forwarding switch before Dolly's first bridge, as that bridge remembers it; undefined is no bridge of Dolly's. */
export const rememberedForwarding = (bridge: string): string | undefined =>
  aliasPattern.exec(interfaces.alias(bridge))?.[1]

/**
 * As Docker's, but for multicast snooping, which floods like a bridge without it as long as nobody on it queries for
 * members, and walks all ports whenever one of them comes, goes or changes.
 */
export const bridgeType = 'type bridge stp_state 0 forward_delay 0 mcast_snooping 0'

const hex = (byte: number): string => byte.toString(16).padStart(2, '0')

/** A locally administered address of its own: a bridge without one takes its lowest port's and changes as containers come and go. */
const hardwareAddress = (bridge: string): string =>
  [2, ...createHash('sha256').update(bridge).digest().subarray(0, 5)].map(hex).join(':')

/**
 * Keeps an interface that is not up yet from making an IPv6 address of its own (link-local), of which it would
 * tell every port of the bridge; nothing where the kernel has no IPv6.
 */
export const makeNoAddress = (name: string): string[] =>
  existsSync('/proc/sys/net/ipv6') ? [`link set dev ${name} addrgenmode none`] : []

const refuseForeign = async (record: Recorder, bridge: string): Promise<void> => {
  if (interfaces.isBridge(bridge) && rememberedForwarding(bridge) !== undefined) return
  const isHalfMade =
    interfaces.isBridge(bridge) &&
    interfaces.alias(bridge) === '' &&
    (await addressesOf(record, bridge)).length === 0
  if (isHalfMade) return
  throw new Failure(
    'host_unfit',
    `cannot create bridge ${bridge}: the host has an interface of that name that is not Dolly's; rename it`,
  )
}

/** Makes the stack's bridge, or completes it: up, with the gateway's address and no other. */
export const ensureBridge = async (
  record: Recorder,
  { names }: Config,
  subnet: Subnet,
  forwardingBefore: string,
): Promise<void> => {
  const { bridge } = names
  if (bridge.length > 15)
    throw new Failure(
      'host_unfit',
      `cannot create bridge ${bridge}: an interface name has 15 characters at most`,
    )
  const exists = interfaces.exists(bridge)
  if (exists) await refuseForeign(record, bridge)
  const wanted = `${gatewayOf(subnet)}/${subnet.length}`
  const had = exists ? await addressesOf(record, bridge) : []
  const commands = [
    ...(exists
      ? []
      : [
          `link add name ${bridge} address ${hardwareAddress(bridge)} ${bridgeType}`,
          ...makeNoAddress(bridge),
        ]),
    ...(rememberedForwarding(bridge) === undefined
      ? [`link set dev ${bridge} alias ip_forward=${forwardingBefore}`]
      : []),
    `link set dev ${bridge} up`,
    ...had
      .filter((address) => address !== wanted)
      .map((address) => `address delete ${address} dev ${bridge}`),
    ...(had.includes(wanted) ? [] : [`address add ${wanted} broadcast + dev ${bridge}`]),
  ]
  try {
    await record.run('ip', ['-batch', '-'], { input: `${commands.join('\n')}\n` })
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    throw new Failure(
      'host_unfit',
      `cannot create bridge ${bridge} for ${subnetText(subnet)}: ${error.message}`,
      { cause: error },
    )
  }
}

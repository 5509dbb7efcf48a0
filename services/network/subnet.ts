import { createHash } from 'node:crypto'
import { isIPv4 } from 'node:net'
import { Failure } from '../../shared/failure.ts'

/** An IPv4 range as numbers; `network` has no host bits set. */
export interface Subnet {
  network: number
  length: number
}

const sizeOf = (length: number): number => 2 ** (32 - length)

/** `10.64.0.1` as a number. */
export const addressNumber = (text: string): number =>
  text.split('.').reduce((number, octet) => number * 256 + Number(octet), 0)

/** A number as `10.64.0.1`. */
export const addressText = (number: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.')

/** The range as `10.64.0.0/20`. */
export const subnetText = ({ network, length }: Subnet): string => `${addressText(network)}/${length}`

/** The range that `address/length` lies in, or undefined when the text is no IPv4 range. A bare address is a /32. */
export const subnetOf = (text: string): Subnet | undefined => {
  const [address = '', bits = '32', ...rest] = text.split('/')
  if (!isIPv4(address) || !/^\d{1,2}$/.test(bits) || Number(bits) > 32 || rest.length > 0) return undefined
  const length = Number(bits)
  const number = addressNumber(address)
  return { network: number - (number % sizeOf(length)), length }
}

/** True when the two ranges have an address in common. */
export const overlaps = (a: Subnet, b: Subnet): boolean =>
  a.network < b.network + sizeOf(b.length) && b.network < a.network + sizeOf(a.length)

/** The bridge's own address. */
export const gatewayOf = ({ network }: Subnet): string => addressText(network + 1)

/** First and last address a container may have: neither the network's, nor the gateway's, nor the broadcast address. */
export const containerRange = ({ network, length }: Subnet) => ({
  first: network + 2,
  last: network + sizeOf(length) - 2,
})

/** The configured subnet. Throws `Failure` (`invalid_message`) that says what would be right. */
export const parseSubnet = (text: string): Subnet => {
  const refuse = (reason: string): never => {
    throw new Failure('invalid_message', `cannot use subnet "${text}": ${reason}`, {
      details: { subnet: text },
    })
  }
  const subnet = text.includes('/') ? subnetOf(text) : undefined
  if (!subnet) return refuse('give an IPv4 range as "10.64.0.0/20"')
  if (subnet.length > 30) return refuse('too small, a /30 is the smallest with room for a container')
  if (subnet.length < 8) return refuse('too large, a /8 is the largest')
  if (subnet.network < addressNumber('1.0.0.0') || subnet.network >= addressNumber('224.0.0.0')) {
    return refuse('not a unicast range')
  }
  if (subnetText(subnet) !== text) return refuse(`the range of that size is "${subnetText(subnet)}"`)
  return subnet
}

const pool: Subnet = { network: addressNumber('10.64.0.0'), length: 10 }
const derivedLength = 20

/**
 * The /20s of 10.64.0.0/10, each once. A stack begins at a place of its own, so that several on one host,
 * and the same stack after a reinstallation, seldom want the same one.
 */
export const candidateSubnets = (tag: string): Subnet[] => {
  const count = 2 ** (derivedLength - pool.length)
  const start = createHash('sha256').update(tag).digest().readUInt32BE(0)
  return Array.from({ length: count }, (_, index) => ({
    network: pool.network + ((start + index) % count) * sizeOf(derivedLength),
    length: derivedLength,
  }))
}

import { z } from 'zod'
import type { Recorder } from '../../shared/recorder.ts'
import { type Subnet, overlaps, subnetOf, subnetText } from './subnet.ts'

/** A range that the host already routes or has an address in. */
export interface HostRange {
  range: Subnet
  device: string
}

const Routes = z.array(z.object({ dst: z.string(), dev: z.string().optional() }))
const Links = z.array(
  z.object({
    ifname: z.string().optional(),
    addr_info: z
      .array(z.object({ local: z.string().optional(), prefixlen: z.number().optional() }))
      .default([]),
  }),
)

/** Every IPv4 range in use on the host, in any routing table and on any interface but `except`. */
export const hostRanges = async (record: Recorder, except: string): Promise<HostRange[]> => {
  const [routes, links] = await Promise.all([
    record.run('ip', ['-j', '-4', 'route', 'show', 'table', 'all']),
    // An interface that is down has addresses without routes.
    record.run('ip', ['-j', '-4', 'address', 'show']),
  ])
  const routed = Routes.parse(JSON.parse(routes || '[]')).map(({ dst, dev }) => ({
    text: dst,
    device: dev ?? 'no device',
  }))
  const addressed = Links.parse(JSON.parse(links || '[]')).flatMap(({ ifname, addr_info }) =>
    addr_info.map(({ local, prefixlen }) => ({
      text: `${local}/${prefixlen}`,
      device: ifname ?? 'no device',
    })),
  )
  return [...routed, ...addressed]
    .filter(({ device }) => device !== except)
    .flatMap(({ text, device }) => {
      const range = subnetOf(text)
      // A default route written as 0.0.0.0/0 leads everywhere and occupies nothing.
      return range && range.length > 0 ? [{ range, device }] : []
    })
}

/** The first range in use that the subnet overlaps, as words, or undefined. */
export const conflictOf = (subnet: Subnet, inUse: readonly HostRange[]): string | undefined => {
  const found = inUse.find(({ range }) => overlaps(subnet, range))
  return found && `${subnetText(found.range)} on ${found.device}`
}

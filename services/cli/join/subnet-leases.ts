import { z } from 'zod'
import type { Bus } from '../../../shared/bus.ts'
import { NodeRecord } from '../../../shared/contracts/node.ts'
import { Failure } from '../../../shared/failure.ts'
import { shortHash } from '../../../shared/names.ts'
import { untilSet } from '../../../shared/retry.ts'
import { type HostRange, conflictOf } from '../../network/host-ranges.ts'
import { candidateSubnets, parseSubnet, subnetOf, subnetText } from '../../network/subnet.ts'

/** All leases are one value, so that one compare-and-set sees to it that no two overlap; no node has such a name. */
const key = '=subnets'
const Leases = z.record(z.string(), z.string())

interface Wish {
  node: string
  /** IPv4 ranges that the host uses otherwise. */
  ranges: readonly string[]
  subnet?: string | undefined
}

type Bucket = Awaited<ReturnType<Bus['bucket']>>

const read = async (bucket: Bucket) => {
  const entry = await bucket.get(key)
  const leases = entry?.operation === 'PUT' ? Leases.parse(JSON.parse(entry.string())) : {}
  return { leases, revision: entry?.revision ?? 0 }
}

const recordsOf = async (bucket: Bucket): Promise<NodeRecord[]> =>
  (await bucket.entries()).flatMap(({ value }) => NodeRecord.safeParse(JSON.parse(value)).data ?? [])

const rangeOf = (text: string, device: string): HostRange[] => {
  const range = subnetOf(text)
  return range && range.length > 0 ? [{ range, device }] : []
}

const choose = ({ node, ranges, subnet }: Wish, taken: readonly HostRange[]): string => {
  const inUse = [...taken, ...ranges.flatMap((range) => rangeOf(range, `host ${node}`))]
  if (subnet !== undefined) {
    const wanted = parseSubnet(subnet)
    const conflict = conflictOf(wanted, inUse)
    if (!conflict) return subnetText(wanted)
    throw new Failure(
      'subnet_in_use',
      `the subnet ${subnet} overlaps ${conflict}; set DOLLY_SUBNET to another`,
    )
  }
  const free = candidateSubnets(shortHash(node, 4)).find((candidate) => !conflictOf(candidate, inUse))
  if (free) return subnetText(free)
  throw new Failure('subnet_in_use', 'no subnet of 10.64.0.0/10 is free on all hosts; set DOLLY_SUBNET')
}

/**
 * Leases a node a range of addresses that no other node and nobody on its host uses. Throws `Failure`: `conflict`
 * when there is a node of this name, `subnet_in_use`.
 */
export const leaseSubnet = (bucket: Bucket, wish: Wish): Promise<string> =>
  untilSet(async () => {
    const { leases, revision } = await read(bucket)
    const records = await recordsOf(bucket)
    if (leases[wish.node] || records.some(({ name }) => name === wish.node))
      throw new Failure('conflict', `there is a node ${wish.node} already; "dolly node rm" takes it out`)
    const taken = [
      ...Object.entries(leases).flatMap(([node, text]) => rangeOf(text, `node ${node}`)),
      ...records.flatMap(({ name, subnet }) => rangeOf(subnet, `node ${name}`)),
    ]
    const chosen = choose(wish, taken)
    await bucket.put(key, JSON.stringify({ ...leases, [wish.node]: chosen }), { previousSeq: revision })
    return chosen
  })

/** The range that a node has. */
export const leasedSubnet = async (bucket: Bucket, node: string): Promise<string | undefined> =>
  (await read(bucket)).leases[node]

/** Gives a node's range back; absent is success. */
export const releaseSubnet = (bucket: Bucket, node: string): Promise<void> =>
  untilSet(async () => {
    const { leases, revision } = await read(bucket)
    if (!leases[node]) return
    const { [node]: _, ...others } = leases
    await bucket.put(key, JSON.stringify(others), { previousSeq: revision })
  })

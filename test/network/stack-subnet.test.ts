import test from 'ava'
import { Failure } from '../../shared/failure.ts'
import { stackSubnet } from '../../services/network/stack-subnet.ts'
import {
  type Subnet,
  candidateSubnets,
  overlaps,
  subnetOf,
  subnetText,
} from '../../services/network/subnet.ts'
import { requireTools } from '../../services/network/tools.ts'
import { temporaryConfig } from '../helpers/host.ts'

const range = (text: string): Subnet => subnetOf(text) ?? { network: 0, length: 0 }
const used = (...texts: string[]) => texts.map((text) => ({ range: range(text), device: 'tun0' }))

test('overlap is seen from both sides, neighbours do not overlap', (t) => {
  for (const [a, b, expected] of [
    ['10.64.0.0/20', '10.64.15.255/32', true],
    ['10.64.0.0/20', '10.64.16.0/20', false],
    ['10.0.0.0/8', '10.64.0.0/20', true],
    ['255.255.255.0/24', '255.255.255.255/32', true],
  ] as const) {
    t.is(overlaps(range(a), range(b)), expected)
    t.is(overlaps(range(b), range(a)), expected)
  }
})

test('the candidates of a tag are 1024 different ranges of 10.64.0.0/10', (t) => {
  const candidates = candidateSubnets('abcd')
  t.is(new Set(candidates.map(subnetText)).size, 1024)
  t.true(candidates.every((candidate) => overlaps(candidate, range('10.64.0.0/10'))))
  t.deepEqual(candidateSubnets('abcd'), candidates)
})

test('a subnet is kept, and moves off another network only while no address is leased', async (t) => {
  await using temporary = await temporaryConfig()
  const first = await stackSubnet(temporary.config, [], 0)
  t.deepEqual(await stackSubnet(temporary.config, used('192.168.0.0/16'), 3), first)
  const conflict = used(subnetText(first))
  const stuck = await t.throwsAsync(stackSubnet(temporary.config, conflict, 3), { instanceOf: Failure })
  t.is(stuck?.code, 'subnet_in_use')
  t.regex(stuck?.message ?? '', /on tun0, and 3 containers/)
  const moved = await stackSubnet(temporary.config, conflict, 0)
  t.false(overlaps(moved, first))
  t.deepEqual(await stackSubnet(temporary.config, [], 3), moved)
})

test('a host that uses the whole pool is told so', async (t) => {
  await using temporary = await temporaryConfig()
  const full = await t.throwsAsync(stackSubnet(temporary.config, used('10.0.0.0/8'), 0), {
    instanceOf: Failure,
  })
  t.is(full?.code, 'subnet_in_use')
})

test('a configured subnet takes the place of another only while no address is leased', async (t) => {
  await using temporary = await temporaryConfig()
  await stackSubnet(temporary.config, [], 0)
  const config = { ...temporary.config, subnet: '198.18.0.0/24' }
  t.is((await t.throwsAsync(stackSubnet(config, [], 1), { instanceOf: Failure }))?.code, 'busy')
  t.is(subnetText(await stackSubnet(config, [], 0)), '198.18.0.0/24')
})

test('a missing program is named with its package', (t) => {
  const failure = t.throws(() => requireTools('/no/such/directory'), { instanceOf: Failure })
  t.is(failure?.code, 'host_unfit')
  t.regex(failure?.message ?? '', /"ip".*install the package iproute2/)
})

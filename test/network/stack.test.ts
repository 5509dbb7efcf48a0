import { existsSync, readFileSync, readdirSync } from 'node:fs'
import test from 'ava'
import { networkInfo, release } from '../../shared/contracts/operations.ts'
import { Failure } from '../../shared/failure.ts'
import { run } from '../../shared/recorder.ts'
import { networkService } from '../../services/network/service.ts'
import { hostService, temporaryConfig } from '../helpers/host.ts'
import { inside, networkStack, ping } from './network-stack.ts'

const forwarding = () => readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim()
const bridges = () =>
  readdirSync('/sys/class/net').filter((name) => existsSync(`/sys/class/net/${name}/bridge`))
const tables = () => run('nft', ['list', 'tables'])

const refused = async (t: { fail: (message: string) => void }, env: Record<string, string>) => {
  await using temporary = await temporaryConfig(env)
  const { config } = temporary
  try {
    await hostService(config, networkService(config))
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return {
      failure: error,
      bridge: existsSync(`/sys/class/net/${config.names.bridge}`),
      table: (await tables()).includes(config.names.nftTable),
    }
  }
  t.fail('the stack was made')
  return undefined
}

test.serial('release puts the host back, and refuses while a container is connected', async (t) => {
  const before = { forwarding: forwarding(), alone: bridges().length === 0 }
  await using stack = await networkStack()
  const { names } = stack.config
  t.is(forwarding(), '1')
  t.true((await tables()).includes(names.nftTable))
  await stack.connect('user')
  const busy = await t.throwsAsync(stack.request(release.network, {}), { instanceOf: Failure })
  t.is(busy?.code, 'busy')
  t.regex(busy?.message ?? '', /user/)
  await stack.disconnect('user')
  await stack.request(release.network, {})
  t.false(existsSync(`/sys/class/net/${names.bridge}`))
  t.false((await tables()).includes(names.nftTable))
  if (before.alone && bridges().length === 0) t.is(forwarding(), before.forwarding)
  await t.notThrowsAsync(stack.request(release.network, {}), 'release twice succeeds')
})

test.serial(
  'two stacks side by side have subnets of their own, and forwarding stays on until the last is released',
  async (t) => {
    const before = { forwarding: forwarding(), alone: bridges().length === 0 }
    {
      await using first = await networkStack()
      {
        await using second = await networkStack()
        const [one, two] = [await first.connect('same'), await second.connect('same')]
        t.not((await first.request(networkInfo, {})).subnet, (await second.request(networkInfo, {})).subnet)
        await ping(inside(one.networkNamespace), one.gateway ?? '')
        await ping(inside(two.networkNamespace), two.gateway ?? '')
        await t.throwsAsync(
          ping(inside(one.networkNamespace), two.address?.split('/')[0] ?? ''),
          undefined,
          'stacks do not reach each other',
        )
      }
      t.is(forwarding(), '1')
    }
    if (before.alone && bridges().length === 0) t.is(forwarding(), before.forwarding)
  },
)

test.serial('a restarted service finds its subnet, its containers and their addresses', async (t) => {
  await using stack = await networkStack()
  const before = await stack.connect('kept')
  const { subnet } = await stack.request(networkInfo, {})
  const restarted = await hostService(stack.config, networkService(stack.config))
  t.is((await restarted.request(networkInfo, {})).subnet, subnet)
  t.deepEqual(
    await restarted.send('do', { id: 'kept', networkMode: 'bridge', dns: [], dnsSearch: [] }),
    before,
  )
  await t.notThrowsAsync(ping(inside(before.networkNamespace), before.gateway ?? ''))
})

test.serial(
  'a full subnet says how many addresses it has, and a released address rests as long as possible',
  async (t) => {
    await using stack = await networkStack({ DOLLY_SUBNET: '198.18.7.0/29' })
    const first = await stack.connect('c1')
    t.is(first.address, '198.18.7.2/29')
    for (const id of ['c2', 'c3']) await stack.connect(id)
    await stack.disconnect('c1')
    t.is((await stack.connect('c4')).address, '198.18.7.5/29')
    for (const id of ['c5', 'c6']) await stack.connect(id)
    const full = await t.throwsAsync(stack.connect('c7'), { instanceOf: Failure })
    t.is(full?.code, 'no_capacity')
    t.regex(full?.message ?? '', /all 5 from 198\.18\.7\.2 to 198\.18\.7\.6/)
    t.deepEqual(
      (await stack.listed()).filter(({ container }) => container === 'c7'),
      [],
    )
  },
)

test.serial('a subnet that the host uses is refused, naming both, and nothing is changed', async (t) => {
  await using other = await networkStack({ DOLLY_SUBNET: '198.18.8.0/24' })
  const answer = await refused(t, { DOLLY_SUBNET: '198.18.0.0/16' })
  t.is(answer?.failure.code, 'subnet_in_use')
  t.regex(answer?.failure.message ?? '', /198\.18\.0\.0\/16: it overlaps 198\.18\.8\..* on dolly-/)
  t.false(answer?.bridge)
  t.false(answer?.table)
  t.true(existsSync(`/sys/class/net/${other.config.names.bridge}`))
})

for (const [subnet, reason] of [
  ['lots', /give an IPv4 range/],
  ['10.0.0.0/31', /too small/],
  ['10.0.0.0/4', /too large/],
  ['10.0.0.1/24', /is "10\.0\.0\.0\/24"/],
  ['224.0.0.0/24', /not a unicast range/],
] as const) {
  test(`subnet "${subnet}" is refused with what would be right`, async (t) => {
    const answer = await refused(t, { DOLLY_SUBNET: subnet })
    t.is(answer?.failure.code, 'invalid_message')
    t.regex(answer?.failure.message ?? '', reason)
  })
}

test.serial(
  "an interface that has the bridge's name and is not Dolly's is refused and left alone",
  async (t) => {
    await using temporary = await temporaryConfig()
    const { bridge } = temporary.config.names
    await run('ip', [
      'link',
      'add',
      'name',
      bridge,
      'type',
      'veth',
      'peer',
      'name',
      temporary.config.names.veth('peer'),
    ])
    t.teardown(() => run('ip', ['link', 'delete', 'dev', bridge]))
    const failure = await t.throwsAsync(hostService(temporary.config, networkService(temporary.config)), {
      instanceOf: Failure,
    })
    t.is(failure?.code, 'host_unfit')
    t.regex(failure?.message ?? '', new RegExp(bridge))
  },
)

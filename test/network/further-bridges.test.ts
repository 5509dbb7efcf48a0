import { readlinkSync } from 'node:fs'
import test from 'ava'
import { release } from '../../shared/contracts/operations.ts'
import { interfaces } from '../../services/network/interfaces.ts'
import { inside, networkStack, ping } from './network-stack.ts'

const masterOf = (name: string | null) => readlinkSync(`/sys/class/net/${name}/master`).split('/').at(-1)

test('containers that one bridge has no port for are on further ones, in the same subnet', async (t) => {
  await using stack = await networkStack({}, { portsPerBridge: 2 })
  const { bridge } = stack.config.names
  const ids = ['one', 'two', 'three', 'four', 'five']
  const made = await Promise.all(ids.map((id) => stack.connect(id)))
  const byAddress = made.toSorted((a, b) =>
    (a.address ?? '').localeCompare(b.address ?? '', 'en', { numeric: true }),
  )
  t.deepEqual(
    byAddress.map(({ hostInterface }) => masterOf(hostInterface)),
    [bridge, bridge, `${bridge}-1`, `${bridge}-1`, `${bridge}-2`],
  )
  const [first, , third, , fifth] = byAddress
  const addressOf = (one: typeof first) => one?.address?.split('/')[0] ?? ''
  for (const [from, to] of [
    [fifth, first?.gateway ?? ''],
    [fifth, addressOf(first)],
    [first, addressOf(third)],
    [third, addressOf(fifth)],
  ] as const)
    await t.notThrowsAsync(ping(inside(from?.networkNamespace ?? null), to), `to ${to}`)
  t.deepEqual(
    (await stack.listed()).filter(({ kind }) => kind === 'bridge').map(({ name }) => name),
    [bridge, `${bridge}-1`, `${bridge}-2`],
  )
  await stack.restart()
  for (const id of ids) await stack.disconnect(id)
  t.is(masterOf((await stack.connect('six')).hostInterface), bridge, 'the first bridge again')
  await stack.disconnect('six')
  await stack.request(release.network, {})
  t.deepEqual(
    interfaces.list().filter((name) => name.includes(stack.config.tag)),
    [],
  )
})

test('with isolation containers do not reach each other across bridges either', async (t) => {
  await using stack = await networkStack({ DOLLY_ICC: 'off' }, { portsPerBridge: 1 })
  const [one, two, three] = [
    await stack.connect('one'),
    await stack.connect('two'),
    await stack.connect('three'),
  ]
  await t.notThrowsAsync(ping(inside(three.networkNamespace), three.gateway ?? ''))
  for (const [from, to] of [
    [one, two],
    [two, three],
    [three, one],
  ] as const)
    await t.throwsAsync(ping(inside(from.networkNamespace), to.address?.split('/')[0] ?? ''))
})

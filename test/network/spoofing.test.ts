import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { run } from '../../shared/recorder.ts'
import { network } from '../../shared/contracts/steps.ts'
import { hardwareAddressOf } from '../../services/network/spoof-guard.ts'
import { eventually } from '../helpers/stack.ts'
import { type NetworkStack, inputOf, networkStack } from './network-stack.ts'

const connect = async (stack: NetworkStack, id: string, capabilities: string[] = []) => {
  const sent = await stack.send('do', { ...inputOf(id), process: { capabilities } })
  const { address, gateway } = network.output.parse(sent)
  return { id, address: address?.split('/')[0] ?? '', gateway: gateway ?? '' }
}
type Connected = Awaited<ReturnType<typeof connect>>

const inside = (stack: NetworkStack, { id }: Connected, ...command: string[]) =>
  run('ip', ['netns', 'exec', stack.config.names.netns(id), ...command], { allow: [1, 2] })

/** Whom the host takes for the holder of an address. */
const holderOf = async ({ config }: NetworkStack, address: string): Promise<string | undefined> => {
  const shown = await run('ip', ['neigh', 'show', address, 'dev', config.names.bridge])
  return / lladdr (\S+)/.exec(shown)?.[1]
}

/** Says again and again that the victim's address is its own. */
const forge = async (stack: NetworkStack, attacker: Connected, victim: Connected) =>
  inside(
    stack,
    attacker,
    'busybox',
    'arping',
    '-U',
    '-q',
    '-c',
    '3',
    '-s',
    victim.address,
    '-I',
    'eth0',
    attacker.gateway,
  )

/** A look for an address that was lost is repeated after a second. */
const reaches = async (stack: NetworkStack, from: Connected, address: string, ...options: string[]) =>
  / 1 (packets )?received/.test(
    await inside(stack, from, 'busybox', 'ping', '-c', '1', '-W', '3', ...options, address),
  )

test('who may send any frame sends none under an address that is not its own', async (t) => {
  await using stack = await networkStack()
  const victim = await connect(stack, 'victim')
  const unguarded = await connect(stack, 'unguarded')
  const attacker = await connect(stack, 'attacker', ['CAP_CHOWN', 'CAP_NET_RAW'])
  t.true(await reaches(stack, victim, victim.gateway))
  t.true(await reaches(stack, attacker, attacker.gateway))
  t.is(await holderOf(stack, victim.address), hardwareAddressOf(victim.address))
  for (const forger of [attacker, unguarded])
    await inside(stack, forger, 'ip', 'address', 'add', `${victim.address}/32`, 'dev', 'eth0')

  await forge(stack, attacker, victim)
  t.is(await holderOf(stack, victim.address), hardwareAddressOf(victim.address))
  t.false(await reaches(stack, attacker, attacker.gateway, '-I', victim.address))
  await inside(stack, attacker, 'ip', 'link', 'set', 'eth0', 'address', hardwareAddressOf(victim.address))
  t.false(await reaches(stack, attacker, attacker.gateway))

  await eventually(
    'without the guard the forged frames are believed',
    async () => {
      await forge(stack, unguarded, victim)
      return (await holderOf(stack, victim.address)) === hardwareAddressOf(unguarded.address)
    },
    40_000,
  )
})

test('a guard lives through a restart of the service and goes with its container', async (t) => {
  await using stack = await networkStack()
  const guarded = async () => run('nft', ['list', 'set', 'bridge', stack.config.names.nftTable, 'guarded'])
  const { id } = await connect(stack, 'attacker', ['CAP_NET_ADMIN'])
  await connect(stack, 'harmless')
  const veth = stack.config.names.veth(id)
  t.true((await guarded()).includes(veth))
  t.false((await guarded()).includes(stack.config.names.veth('harmless')))
  await stack.restart()
  t.true((await guarded()).includes(veth))
  t.true((await stack.listed()).some(({ kind, container }) => kind === 'guard' && container === id))
  await stack.disconnect(id)
  t.false((await guarded()).includes(veth))
  t.false((await stack.listed()).some(({ container }) => container === id))
  await t.notThrowsAsync(stack.disconnect(id))
})

test('tables that somebody has flushed are made again, with all who are guarded, and keep nobody from going', async (t) => {
  await using stack = await networkStack()
  const { nftTable } = stack.config.names
  const { id } = await connect(stack, 'first', ['CAP_NET_ADMIN'])
  const other = await connect(stack, 'other', ['CAP_NET_ADMIN'])
  const flush = async () => {
    for (const family of ['bridge', 'inet']) await run('nft', ['delete', 'table', family, nftTable])
  }
  const guarded = () => run('nft', ['list', 'set', 'bridge', nftTable, 'guarded'])
  await flush()
  await t.notThrowsAsync(stack.disconnect(id))
  const later = await connect(stack, 'later', ['CAP_NET_ADMIN'])
  t.false((await stack.listed()).some(({ container }) => container === id))
  const tables = await run('nft', ['list', 'table', 'inet', nftTable])
  t.regex(tables, /masquerade/, 'as soon as a reconciler lists what there is')
  for (const one of [other, later]) t.true((await guarded()).includes(stack.config.names.veth(one.id)))
  await flush()
  await stack.restart()
  for (const one of [other, later]) t.true((await guarded()).includes(stack.config.names.veth(one.id)))
})

test('a guard whose mark a power loss has emptied goes with its container all the same', async (t) => {
  await using stack = await networkStack()
  const { id } = await connect(stack, 'attacker', ['CAP_NET_ADMIN'])
  await writeFile(join(stack.config.names.networkState, 'guards', id), '')
  await t.notThrowsAsync(stack.disconnect(id))
  t.false((await stack.listed()).some(({ container }) => container === id))
})

test('with DOLLY_ICC=off containers reach the gateway and not each other, not by way of the host either', async (t) => {
  await using stack = await networkStack({ DOLLY_ICC: 'off' })
  const one = await connect(stack, 'one')
  const other = await connect(stack, 'other')
  t.true(await reaches(stack, one, one.gateway))
  t.true(await reaches(stack, other, other.gateway))
  t.false(await reaches(stack, one, other.address))
  await inside(stack, one, 'ip', 'route', 'add', `${other.address}/32`, 'via', one.gateway)
  t.false(await reaches(stack, one, other.address))
})

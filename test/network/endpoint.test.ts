import { existsSync, readdirSync, readlinkSync, readFileSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { network } from '../../shared/contracts/steps.ts'
import { Failure } from '../../shared/failure.ts'
import { run } from '../../shared/recorder.ts'
import { stepMacro } from '../helpers/step-macro.ts'
import { inputOf, inside, kernelView, networkStack, ping, tracesOf } from './network-stack.ts'

const stepOf = (mode: string) => async () => {
  const stack = await networkStack()
  const { names } = stack.config
  return {
    contract: network,
    send: stack.send,
    input: (id: string) => inputOf(id, mode),
    inspect: async (id: string) => tracesOf(stack, id),
    half: async (id: string) => {
      await run('ip', ['netns', 'add', names.netns(id)])
      await run('ip', [
        'link',
        'add',
        'name',
        names.veth(id),
        'type',
        'veth',
        'peer',
        'name',
        'eth0',
        'netns',
        names.netns(id),
      ])
    },
    [Symbol.asyncDispose]: stack[Symbol.asyncDispose],
  }
}

test('bridge', stepMacro, 'network on the bridge', stepOf('bridge'))
test('none', stepMacro, 'network of its own without an interface', stepOf('none'))

test('a container on the bridge has the answered address, a default route and reaches gateway and neighbour', async (t) => {
  await using stack = await networkStack()
  const [one, two] = [await stack.connect('one'), await stack.connect('two')]
  const view = await kernelView(inside(one.networkNamespace))
  t.deepEqual(view.addresses, ['lo 127.0.0.1/8', `eth0 ${one.address}`])
  t.true(view.routes.includes(`default via ${one.gateway} dev eth0`))
  t.is(
    readlinkSync(`/sys/class/net/${one.hostInterface}/master`).split('/').at(-1),
    stack.config.names.bridge,
  )
  await t.notThrowsAsync(ping(inside(one.networkNamespace), one.gateway ?? ''))
  await t.notThrowsAsync(ping(inside(one.networkNamespace), two.address?.split('/')[0] ?? ''))
})

test('an interface has one queue each way, and its bridge walks no ports for who joined which group', async (t) => {
  await using stack = await networkStack()
  const { hostInterface, networkNamespace } = await stack.connect('one')
  const show = ['ip', '--details', '--json', 'link', 'show', 'dev']
  for (const [file = '', ...args] of [
    [...show, hostInterface ?? ''],
    [...inside(networkNamespace), ...show, 'eth0'],
  ]) {
    const [link] = JSON.parse(await run(file, args)) as Record<string, unknown>[]
    t.like(link, { num_tx_queues: 1, num_rx_queues: 1 })
  }
  const snooping = `/sys/class/net/${stack.config.names.bridge}/bridge/multicast_snooping`
  t.is(readFileSync(snooping, 'utf8').trim(), '0')
})

test('a container has no IPv6 address but loopback, and tells the others nothing when it comes', async (t) => {
  await using stack = await networkStack()
  const { networkNamespace, hostInterface } = await stack.connect('silent')
  const ip = async (...words: string[]) => {
    const [file = '', ...args] = [...inside(networkNamespace), 'ip', ...words]
    return run(file, args)
  }
  // What the kernel tells of an address of its own making comes within two seconds.
  await delay(2500)
  const [link] = JSON.parse(await ip('-j', '-s', 'link', 'show', 'dev', 'eth0')) as {
    stats64: { tx: { packets: number } }
  }[]
  t.is(link?.stats64.tx.packets, 0)
  t.regex(await ip('-6', '-o', 'address', 'show'), /^\d+: lo +inet6 ::1\/128 [^\n]*$/)
  t.is(await run('ip', ['-6', '-o', 'address', 'show', 'dev', hostInterface ?? '']), '')
})

test('network mode none has loopback alone, host has no namespace, lab is refused', async (t) => {
  await using stack = await networkStack()
  const none = await stack.connect('none', 'none')
  t.deepEqual(await kernelView(inside(none.networkNamespace)), { addresses: ['lo 127.0.0.1/8'], routes: [] })
  t.is(none.address, null)
  t.is((await stack.connect('host', 'host')).networkNamespace, null)
  t.deepEqual(tracesOf(stack, 'host'), [])
  const refused = await t.throwsAsync(stack.connect('lab', 'lab'), { instanceOf: Failure })
  t.is(refused?.code, 'invalid_message')
})

test('given name servers are answered, else servers that a container can reach', async (t) => {
  await using stack = await networkStack()
  const given = await stack.send('do', { ...inputOf('dns'), dns: ['9.9.9.9'], dnsSearch: ['example.test'] })
  t.like(given, { nameservers: ['9.9.9.9'], search: ['example.test'] })
  const { nameservers } = await stack.connect('dns')
  t.not(nameservers.length, 0)
  t.true(nameservers.every((server) => !server.startsWith('127.')))
})

test('fifty containers, eight at a time, collide nowhere and leave nothing', async (t) => {
  await using stack = await networkStack()
  const each = async (act: (id: string) => Promise<unknown>) => {
    const ids = Array.from({ length: 50 }, (_, index) => `c${index}`)
    const worker = async () => {
      for (let id = ids.shift(); id; id = ids.shift()) await act(id)
    }
    await Promise.all(Array.from({ length: 8 }, worker))
  }
  const addresses: (string | null)[] = []
  await each(async (id) => addresses.push((await stack.connect(id)).address))
  t.is(new Set(addresses).size, 50)
  await each(async (id) => {
    const [address] = tracesOf(stack, id).slice(2)
    const view = await kernelView(inside(stack.config.names.netnsPath(id)))
    t.true(view.addresses.some((line) => line.startsWith(`eth0 ${address}/`)))
  })
  await each(stack.disconnect)
  t.deepEqual(
    (await stack.listed()).filter(({ container }) => container),
    [],
  )
})

test('undo takes the interface even from a namespace that a process holds, and the id can be connected again', async (t) => {
  await using stack = await networkStack()
  const { networkNamespace, hostInterface } = await stack.connect('held')
  const holder = spawn('nsenter', [`--net=${networkNamespace}`, 'sleep', '60'])
  t.teardown(() => holder.kill('SIGKILL'))
  await once(holder, 'spawn')
  await stack.disconnect('held')
  t.false(existsSync(`/sys/class/net/${hostInterface}`))
  t.deepEqual(tracesOf(stack, 'held'), [])
  const again = await stack.connect('held')
  await t.notThrowsAsync(ping(inside(again.networkNamespace), again.gateway ?? ''))
})

test('no program of the service holds the namespace of a container open', async (t) => {
  await using stack = await networkStack()
  const { networkNamespace } = await stack.connect('free')
  const inode = (await run('stat', ['-L', '-c', '%i', networkNamespace ?? ''])).trim()
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ')
  const held = children.flatMap((pid) => {
    if (!existsSync(`/proc/${pid}/fd`)) return []
    return readdirSync(`/proc/${pid}/fd`).map((fd) => {
      const path = `/proc/${pid}/fd/${fd}`
      return existsSync(path) ? readlinkSync(path) : ''
    })
  })
  t.false(held.includes(`net:[${inode}]`))
})

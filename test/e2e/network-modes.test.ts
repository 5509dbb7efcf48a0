import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type ContainerClient, containerClient, containerFor } from '../helpers/container-client.ts'
import { hasDockerBridge, lockDockerBridge, makeDockerBridge } from '../helpers/docker-bridge.ts'
import * as kernel from '../helpers/kernel-facts.ts'
import { type Stack, startStack } from '../helpers/stack.ts'

let stack: Stack
let client: ContainerClient

test.before(async () => {
  await lockDockerBridge()
  stack = await startStack()
  client = await containerClient(stack.config)
})
test.after.always(async () => {
  await client?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
})

const interfacesOf = async (pid: number): Promise<string[]> =>
  (await kernel.linksIn(pid)).map(({ ifname }) => ifname).toSorted()

/** The end of the container's veth pair that the host has. */
const hostEnd = async (pid: number) => {
  const eth0 = (await kernel.linksIn(pid)).find(({ ifname }) => ifname === 'eth0')
  return (await kernel.hostLinks()).find(({ ifindex }) => ifindex === eth0?.link_index)
}

test.serial('none: a network namespace of its own with a loopback alone', async (t) => {
  const { id, pid = 0 } = await containerFor(t, client, { network_mode: 'none', cap_add: ['NET_RAW'] })
  t.not(await kernel.namespaceOf(pid, 'net'), await kernel.namespaceOf('self', 'net'))
  t.deepEqual(await interfacesOf(pid), ['lo'])
  t.is((await client.exec(id, ['ping', '-c', '1', '127.0.0.1'])).exitCode, 0)
  t.deepEqual(await kernel.defaultRoutesIn(pid), [])
})

test.serial("host: the host's own network namespace and resolver", async (t) => {
  const { id, pid = 0 } = await containerFor(t, client, { network_mode: 'host' })
  t.is(await kernel.namespaceOf(pid, 'net'), await kernel.namespaceOf('self', 'net'))
  t.not(await kernel.namespaceOf(pid, 'pid'), await kernel.namespaceOf('self', 'pid'))
  t.not(await kernel.namespaceOf(pid, 'user'), await kernel.namespaceOf('self', 'user'))
  const kept = stack.config.names.netnsPath(id)
  t.true(await kernel.exists(kept), 'its name keeps the user namespace')
  await client.remove(id)
  t.false(await kernel.exists(kept))
  t.deepEqual(await client.leaks(), [])
})

test.serial('bridge: containers reach each other by address, and dns is what was asked for', async (t) => {
  const [one, other] = await Promise.all([
    containerFor(t, client, {
      dns: ['192.0.2.53', '192.0.2.54'],
      dns_search: ['lab.example'],
      cap_add: ['NET_RAW'],
    }),
    containerFor(t, client),
  ])
  const [address = ''] = await kernel.addressesIn(other.pid ?? 0)
  t.not(address, (await kernel.addressesIn(one.pid ?? 0))[0])
  const ping = ['ping', '-c', '1', '-W', '5', address.split('/')[0] ?? '']
  t.is((await client.exec(one.id, ping)).exitCode, 0)
  const resolver = await readFile(`/proc/${one.pid}/root/etc/resolv.conf`, 'utf8')
  t.deepEqual(resolver.match(/^(?:nameserver|search) .*/gm)?.toSorted(), [
    'nameserver 192.0.2.53',
    'nameserver 192.0.2.54',
    'search lab.example',
  ])
})

const labContainer = async (t: ExecutionContext, expectedBridge: string) => {
  const {
    id,
    pid = 0,
    address,
  } = await containerFor(t, client, {
    network_mode: 'lab',
    cap_add: ['NET_RAW'],
    dns: ['8.8.8.8'],
    hostname: 'dolly',
  })
  const outside = await hostEnd(pid)
  t.is(outside?.ifname, `h${pid}`, 'called after the process, as in the lab')
  t.is(outside?.master, expectedBridge)
  t.deepEqual(await interfacesOf(pid), ['eth0', 'lo'])
  const [gateway = ''] = (await kernel.addressesOn(expectedBridge)).map((one) => one.split('/')[0] ?? '')
  t.deepEqual(await kernel.defaultRoutesIn(pid), [{ gateway, dev: 'eth0' }])
  t.deepEqual(await kernel.addressesIn(pid), [address ?? ''])
  t.is((await client.exec(id, ['ping', '-c', '1', '-W', '5', gateway])).exitCode, 0)
  t.regex(await readFile(`/proc/${pid}/root/etc/resolv.conf`, 'utf8'), /^nameserver 8\.8\.8\.8$/m)
  await client.remove(id)
  t.is(
    (await kernel.hostLinks()).find(({ ifname }) => ifname === `h${pid}`),
    undefined,
  )
  t.false(await kernel.exists(join('/proc', String(pid))))
  t.deepEqual(await client.leaks(), [])
}

test.serial('lab: the peer is moved by pid; the bridge is ours where there is no docker0', async (t) => {
  if (hasDockerBridge()) {
    t.pass('this host has a docker0')
    return
  }
  await labContainer(t, stack.config.names.bridge)
})

test.serial('lab: the peer is moved by pid and connected to docker0 where there is one', async (t) => {
  await using _ = hasDockerBridge() ? undefined : await makeDockerBridge()
  await labContainer(t, 'docker0')
})

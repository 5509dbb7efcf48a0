import { lstat, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { ulid } from 'ulid'
import type { Container } from '../../shared/contracts/container.ts'
import { errnoOf } from '../../shared/failure.ts'
import { type ContainerClient, containerClient, containerFor } from '../helpers/container-client.ts'
import * as kernel from '../helpers/kernel-facts.ts'
import { type Stack, eventually, startStack } from '../helpers/stack.ts'

// The lab's container, with the lab's own values.
const lab = {
  id: ulid(),
  name: 'dolly',
  hostname: 'dolly',
  image: 'busybox',
  command: ['sh'],
  tty: true,
  stdin_open: true,
  cpu_period: 100_000,
  cpu_quota: 1000,
  mem_limit: '512M',
  ulimits: { nofile: 256, nproc: 512, locks: 32 },
  dns: ['8.8.8.8'],
  // For busybox's ping, which asks for a raw socket.
  cap_add: ['NET_RAW'],
}

let stack: Stack
let client: ContainerClient
let dolly: Container
let pid: number

test.before(async () => {
  stack = await startStack()
  client = await containerClient(stack.config)
  dolly = await client.create(lab)
  pid = dolly.pid ?? 0
})
test.after.always(async () => {
  await client?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
})

const rootfs = () => stack.config.names.rootfs(lab.id)

/** The image's subvolume: the one that the container's own descends from. */
const imagePath = async (): Promise<string> => {
  const { images } = stack.config.names
  const { parentUuid } = await kernel.subvolume(rootfs())
  for (const entry of await readdir(images)) {
    const path = join(images, entry)
    if ((await kernel.subvolume(path)).uuid === parentUuid) return path
  }
  throw new Error(`no image has the uuid ${parentUuid}`)
}

test.serial('the copy-on-write file system is a btrfs on a loop device, mounted privately', async (t) => {
  const { names } = stack.config
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')
  const line = lines.find((one) => one.split(' ')[4] === names.cowfs) ?? ''
  t.regex(line, / - btrfs \/dev\/loop\d+ /)
  t.notRegex(line, /shared:|master:/, 'no mount below it reaches another mount namespace')
  t.regex(line, /nosuid,nodev/)
  const device = / - btrfs \/dev\/(loop\d+) /.exec(line)?.[1] ?? ''
  const backing = await readFile(`/sys/block/${device}/loop/backing_file`, 'utf8')
  t.is(backing.trim(), names.image)
})

test.serial('the image is a read-only subvolume', async (t) => {
  const path = await imagePath()
  t.true((await kernel.subvolume(path)).readonly)
  const written = await t.throwsAsync(writeFile(join(path, 'written'), ''))
  t.is(errnoOf(written), 'EROFS')
})

test.serial("the container's root is a writable snapshot of the image, with an id of its own", async (t) => {
  const [image, snapshot] = await Promise.all([
    kernel.subvolume(await imagePath()),
    kernel.subvolume(rootfs()),
  ])
  t.is(snapshot.path, `containers/${lab.id}`)
  t.is(snapshot.parentUuid, image.uuid)
  t.not(snapshot.id, image.id)
  t.false(snapshot.readonly)
  t.is((await lstat(rootfs())).ino, 256, 'the inode of every subvolume')
})

test.serial('the cgroup limits processor time and memory', async (t) => {
  t.is(await kernel.cpuQuota(pid), '1000 100000')
  const limit = { v1: 'memory.limit_in_bytes', v2: 'memory.max' }
  t.is(await kernel.cgroupFile(pid, 'memory', limit), String(512 * 2 ** 20))
})

test.serial('the cgroup is there in each hierarchy of the lab, and init is in it', async (t) => {
  const lines = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).trim().split('\n')
  for (const controller of ['cpu', 'memory', 'blkio', 'devices', 'freezer']) {
    const v1 = lines.find((line) => line.split(':')[1]?.split(',').includes(controller))
    const line = v1 ?? lines.find((one) => one.startsWith('0::'))
    t.true(line?.endsWith(stack.config.names.cgroup(lab.id)), `${controller}: ${line}`)
  }
})

test.serial('prlimit: the kernel keeps the process limits', async (t) => {
  t.deepEqual(await kernel.processLimit(pid, 'Max open files'), ['256', '256'])
  t.deepEqual(await kernel.processLimit(pid, 'Max processes'), ['512', '512'])
  t.deepEqual(await kernel.processLimit(pid, 'Max file locks'), ['32', '32'])
})

for (const kind of ['mnt', 'uts', 'ipc', 'net', 'pid']) {
  test.serial(`unshare: the container has a ${kind} namespace of its own`, async (t) => {
    const own = await kernel.namespaceOf(pid, kind)
    t.regex(own, new RegExp(`^${kind}:\\[\\d+\\]$`))
    t.not(own, await kernel.namespaceOf('self', kind))
  })
}

test.serial('its hostname is dolly, and the host keeps its own', async (t) => {
  t.is(await kernel.inNamespace(pid, 'uts', ['hostname']), 'dolly')
  t.not((await readFile('/proc/sys/kernel/hostname', 'utf8')).trim(), 'dolly')
})

test.serial('the command is process 1', async (t) => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  t.regex(status, new RegExp(`^NSpid:\\t${pid}\\t1$`, 'm'))
  // Between the start and the end of execve(2) the kernel shows none.
  const commandLine = () => readFile(`/proc/${pid}/cmdline`, 'utf8')
  await eventually('it is the command', async () => (await commandLine()) === 'sh\0')
  const { output } = await client.exec(lab.id, ['ps'])
  t.regex(output, /^ *1 root +sh$/m)
  t.is(output.trim().split('\n').length, 3, 'a heading, sh and ps: the processes of the host are not there')
})

test.serial('pivot_root: its root is its subvolume, with no trace of the old one', async (t) => {
  const [inside, outside] = await Promise.all([stat(`/proc/${pid}/root`), stat(rootfs())])
  t.deepEqual([inside.dev, inside.ino], [outside.dev, outside.ino])
  t.deepEqual(
    (await readdir(`/proc/${pid}/root`)).filter((name) => /old|put/.test(name)),
    [],
  )
  const mounts = await kernel.mountsOf(pid)
  const roots = mounts.filter(({ mountPoint }) => mountPoint === '/')
  t.deepEqual(
    roots.map(({ root, fsType }) => [root, fsType]),
    [[`/containers/${lab.id}`, 'btrfs']],
  )
  const [host] = (await kernel.mountsOf(process.pid)).filter(({ mountPoint }) => mountPoint === '/')
  t.deepEqual(
    mounts.filter(({ source, root }) => source === host?.source && root === host.root),
    [],
  )
  t.deepEqual(
    mounts.filter(({ mountPoint }) => mountPoint.startsWith(stack.config.root)),
    [],
  )
})

test.serial('mount: the container sees its btrfs subvolume on / and a proc of its own', async (t) => {
  const { output } = await client.exec(lab.id, ['cat', '/proc/mounts'])
  t.regex(
    output,
    new RegExp(`^/dev/loop\\d+ / btrfs rw,.*subvolid=\\d+,subvol=/containers/${lab.id} 0 0$`, 'm'),
  )
  const { id } = await kernel.subvolume(rootfs())
  t.true(output.includes(`subvolid=${id},`))
  t.regex(output, /^\S+ \/proc proc /m)
  t.notRegex(output, /oldroot/)
})

test.serial('a veth pair connects its eth0 with the bridge', async (t) => {
  const [eth0] = (await kernel.linksIn(pid)).filter(({ ifname }) => ifname === 'eth0')
  const outside = (await kernel.hostLinks()).find(({ ifindex }) => ifindex === eth0?.link_index)
  t.is(outside?.master, stack.config.names.bridge)
  t.is(outside?.operstate, 'UP')
  t.is(outside?.link_index, eth0?.ifindex)
  t.is(eth0?.operstate, 'UP')
})

test.serial('lo is up', async (t) => {
  const [lo] = (await kernel.linksIn(pid)).filter(({ ifname }) => ifname === 'lo')
  t.is(lo?.operstate, 'UNKNOWN', 'the state of a loopback that is up; one that is not is DOWN')
})

test.serial('its address is in the subnet of the bridge, which is its default route', async (t) => {
  const shown = await kernel.addressesOn(stack.config.names.bridge)
  const [address = ''] = await kernel.addressesIn(pid)
  const [gateway = '', length] = shown[0]?.split('/') ?? []
  t.is(address.split('/')[1], length)
  t.not(address.split('/')[0], gateway)
  t.deepEqual(await kernel.defaultRoutesIn(pid), [{ gateway, dev: 'eth0' }])
  t.true(kernel.isInSubnet(address, shown[0] ?? ''))
})

test.serial('its resolver is the one that was asked for', async (t) => {
  const text = await readFile(`/proc/${pid}/root/etc/resolv.conf`, 'utf8')
  t.deepEqual(text.match(/^nameserver .*/gm), ['nameserver 8.8.8.8'])
})

test.serial('it reaches the gateway and another container', async (t) => {
  const [{ gateway } = { gateway: '' }] = await kernel.defaultRoutesIn(pid)
  const toGateway = await client.exec(lab.id, ['ping', '-c', '1', '-W', '5', gateway])
  t.is(toGateway.exitCode, 0, toGateway.output)
  const other = await containerFor(t, client)
  const [address = ''] = await kernel.addressesIn(other.pid ?? 0)
  const toOther = await client.exec(lab.id, ['ping', '-c', '1', '-W', '5', address.split('/')[0] ?? ''])
  t.is(toOther.exitCode, 0, toOther.output)
})

test.serial('what it writes is in its snapshot and not in the image', async (t) => {
  const { exitCode } = await client.exec(lab.id, ['touch', '/I_AM_A_CONTAINER'])
  t.is(exitCode, 0)
  t.true(await kernel.exists(join(rootfs(), 'I_AM_A_CONTAINER')))
  t.false(await kernel.exists(join(await imagePath(), 'I_AM_A_CONTAINER')))
})

test.serial('cgdelete, and all the rest: nothing is there after delete', async (t) => {
  const { names } = stack.config
  const [eth0] = (await kernel.linksIn(pid)).filter(({ ifname }) => ifname === 'eth0')
  t.not((await kernel.cgroupsOf(stack.config, lab.id)).length, 0)
  await client.remove(lab.id)

  t.false(await kernel.exists(`/proc/${pid}`))
  t.false(await kernel.exists(rootfs()))
  t.false((await kernel.subvolumes(names.cowfs)).includes(`containers/${lab.id}`))
  t.deepEqual(await kernel.cgroupsOf(stack.config, lab.id), [])
  t.false(await kernel.exists(names.netnsPath(lab.id)))
  t.deepEqual(
    (await kernel.hostLinks()).filter(({ ifindex }) => ifindex === eth0?.link_index),
    [],
  )
  t.false(await kernel.exists(names.bundle(lab.id)))
  t.false(await kernel.exists(join(names.exits, lab.id)))
  t.deepEqual(await kernel.processesNaming(lab.id), [])
  t.deepEqual(await client.leaks(), [])
})

import test from 'ava'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { readMountTable } from '../../shared/mount-table.ts'
import { type ContainerClient, containerClient, containerFor } from '../helpers/container-client.ts'
import { debianImage } from '../helpers/debian-image.ts'
import * as kernel from '../helpers/kernel-facts.ts'
import { type Stack, eventually, startStack } from '../helpers/stack.ts'

let stack: Stack
let client: ContainerClient
/** The loads are stress-ng's in a Debian where one can be made, else those a shell can make. */
let debian: boolean

test.before(async (t) => {
  const [tar, started] = await Promise.all([debianImage(), startStack()])
  stack = started
  client = await containerClient(stack.config)
  debian = 'tar' in tar
  if ('unavailable' in tar) t.log(`busybox makes the loads, there is no Debian image: ${tar.unavailable}`)
  else await ask(stack.bus, verbs.imageImport, { reference: 'debian', path: tar.tar }, { timeoutMs: 120_000 })
})
test.after.always(async () => {
  await client?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
})

const memoryLimit = 64 * 2 ** 20

test.serial('a process inside is throttled by the quota', async (t) => {
  const load = debian
    ? { image: 'debian', command: ['stress-ng', '--cpu', '1', '--timeout', '60s'] }
    : { command: ['sh', '-c', 'while :; do :; done'] }
  const container = await containerFor(t, client, { ...load, cpu_period: 100_000, cpu_quota: 10_000 })
  const pid = container.pid ?? 0
  const [before, begun] = [await kernel.cpuUsageMs(pid), performance.now()]
  const throttled = await kernel.cpuStat(pid, 'nr_throttled')
  const isThrottled = async () => (await kernel.cpuStat(pid, 'nr_throttled')) >= throttled + 10
  await eventually('the kernel throttles it in ten more periods', isThrottled, 20_000)
  const [usedMs, tookMs] = [(await kernel.cpuUsageMs(pid)) - before, performance.now() - begun]
  t.log(`${usedMs.toFixed(0)} ms of processor time in ${tookMs.toFixed(0)} ms`)
  t.true(usedMs > 0)
  // Each processor may overdraw by one slice, and both ends of the measurement cut a period.
  t.true(usedMs < tookMs * 0.1 + 40, `${usedMs} ms in ${tookMs} ms is more than a tenth`)
})

test.serial('a process inside is killed by the memory limit, and init lives on', async (t) => {
  const container = await containerFor(t, client, {
    ...(debian ? { image: 'debian' } : {}),
    mem_limit: memoryLimit,
    memswap_limit: memoryLimit,
  })
  const greedy = debian
    ? ['stress-ng', '--vm', '1', '--vm-bytes', '256M', '--vm-keep', '--oomable', '--timeout', '20s']
    : ['tail', '/dev/zero']
  const { exitCode, output } = await client.exec(container.id, greedy)
  t.log(output.trim().split('\n').at(-1))
  t.true((await kernel.oomKills(container.pid ?? 0)) > 0)
  if (!debian) t.is(exitCode, 137)
  t.is((await client.get(container.id)).status, 'running')
  t.deepEqual(client.eventsOf(container.id, 'container.exited'), [])
})

test.serial('init killed by the memory limit exits 137, and the event says why', async (t) => {
  const container = await containerFor(t, client, {
    command: ['tail', '/dev/zero'],
    mem_limit: memoryLimit,
    memswap_limit: memoryLimit,
  })
  const { data } = await client.exited(container.id)
  t.like(data, { exitCode: 137, oomKilled: true })
  t.like(await client.get(container.id), { status: 'stopped', exitCode: 137, oomKilled: true })
})

test.serial('init killed by someone else exits 137 too, but not for memory', async (t) => {
  const container = await containerFor(t, client, { mem_limit: memoryLimit })
  await ask(client.bus, verbs.containerKill, { container: container.id, signal: 'SIGKILL' })
  t.like((await client.exited(container.id)).data, { exitCode: 137, oomKilled: false })
})

test.serial('a process above the pids limit is refused', async (t) => {
  const container = await containerFor(t, client, { pids_limit: 8 })
  const many = 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; echo done'
  const { output } = await client.exec(container.id, ['sh', '-c', many])
  t.regex(output, /can't fork/)
})

test.serial('a process inside writes to a device at the rate that was asked for', async (t) => {
  const { cowfs } = stack.config.names
  const disk = (await readMountTable()).find(({ mountPoint }) => mountPoint === cowfs)?.source ?? ''
  const rate = 2 ** 20
  const container = await containerFor(t, client, {
    blkio_config: { device_write_bps: [{ path: disk, rate: '1m' }] },
  })
  const file = { v1: 'blkio.throttle.write_bps_device', v2: 'io.max' }
  const kept = await kernel.cgroupFile(container.pid ?? 0, 'blkio', file)
  t.regex(kept, new RegExp(`^\\d+:\\d+ .*\\b${rate}\\b`))
  const begun = performance.now()
  const write = ['dd', 'if=/dev/zero', 'of=/root/slow', 'bs=1M', 'count=3', 'oflag=direct']
  const { exitCode } = await client.exec(container.id, write)
  const tookMs = performance.now() - begun
  t.is(exitCode, 0)
  t.log(`3 MiB in ${tookMs.toFixed(0)} ms: ${kept}`)
  t.true(tookMs > 1800, `3 MiB at 1 MiB a second took ${tookMs} ms`)
})

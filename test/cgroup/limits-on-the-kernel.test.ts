import { readFileSync } from 'node:fs'
import test from 'ava'
import { cgroupRoots, cgroupStack, failureOf } from './cgroup-stack.ts'

const hasV1 = (controller: string) =>
  cgroupRoots.some((root) => root.split('/').at(-1)?.split(',').includes(controller))
const onV1 = hasV1('cpu') && hasV1('memory') ? test : test.skip
const onV2 = hasV1('memory') ? test.skip : test

onV1('the limits of the lab stand in the kernel', async (t) => {
  await using stack = await cgroupStack()
  const { cgroupsPath, cgroupDirectories } = await stack.make('lab', {
    cpu: { period: 100_000, quota: 1000, shares: 512, cpus: '0' },
    memory: { limit: 512 * 2 ** 20, swap: 600 * 2 ** 20 },
    pids: { limit: 512 },
  })
  t.is(cgroupsPath, `/${stack.config.names.cgroupParent}/lab`)
  t.deepEqual(cgroupDirectories.toSorted(), stack.directories('lab').toSorted())
  t.is(stack.file('lab', 'cpu.cfs_period_us'), '100000')
  t.is(stack.file('lab', 'cpu.cfs_quota_us'), '1000')
  t.is(stack.file('lab', 'cpu.shares'), '512')
  t.is(stack.file('lab', 'cpuset.cpus'), '0')
  t.is(stack.file('lab', 'memory.limit_in_bytes'), String(512 * 2 ** 20))
  t.is(stack.file('lab', 'memory.memsw.limit_in_bytes'), String(600 * 2 ** 20))
  t.is(stack.file('lab', 'pids.max'), '512')
  t.is(stack.file('lab', 'freezer.state'), 'THAWED')
})

onV2('the limits of the lab stand in the kernel, in the files of v2', async (t) => {
  await using stack = await cgroupStack()
  await stack.make('lab', {
    cpu: { period: 100_000, quota: 1000, shares: 512 },
    memory: { limit: 512 * 2 ** 20 },
    pids: { limit: 512 },
  })
  t.is(stack.file('lab', 'cpu.max'), '1000 100000')
  t.is(stack.file('lab', 'cpu.weight'), '59')
  t.is(stack.file('lab', 'memory.max'), String(512 * 2 ** 20))
  t.is(stack.file('lab', 'pids.max'), '512')
})

onV1('without limits a container has the processors and memory nodes of the host', async (t) => {
  await using stack = await cgroupStack()
  await stack.make('free')
  const root = cgroupRoots.find((path) => path.includes('cpuset'))
  t.is(stack.file('free', 'cpuset.cpus'), readFileSync(`${root}/cpuset.cpus`, 'utf8').trim())
  t.is(stack.file('free', 'cpuset.mems'), readFileSync(`${root}/cpuset.mems`, 'utf8').trim())
})

onV1('devices are denied but for the default ones', async (t) => {
  await using stack = await cgroupStack()
  await stack.make('devices')
  const rules = stack.file('devices', 'devices.list')?.split('\n') ?? []
  t.false(rules.includes('a *:* rwm'))
  t.true(rules.includes('c 1:3 rwm'), '/dev/null')
  t.true(rules.includes('c 136:* rwm'), 'terminals')
  t.false(
    rules.some((rule) => rule.startsWith('b ') && rule.includes('r')),
    'no block device can be read',
  )
})

test('memory is limited to whole pages and -1 is unlimited', async (t) => {
  await using stack = await cgroupStack()
  await t.notThrowsAsync(stack.make('odd', { memory: { limit: 64 * 2 ** 20 + 17 } }))
  await t.notThrowsAsync(
    stack.make('unlimited', { memory: { limit: -1 }, pids: { limit: -1 }, cpu: { quota: -1 } }),
  )
  t.is(stack.file('unlimited', 'pids.max'), 'max')
})

const refusals: [string, object, string][] = [
  ['a quota below a millisecond', { cpu: { quota: 500 } }, 'cpu.quota'],
  ['a period above a second', { cpu: { period: 2_000_000, quota: 1000 } }, 'cpu.period'],
  ['shares that the kernel would change', { cpu: { shares: 1 } }, 'cpu.shares'],
  ['a processor that is not there', { cpu: { cpus: '4000' } }, 'cpu.cpus'],
  ['processors that are no list', { cpu: { cpus: '0; reboot' } }, 'cpu.cpus'],
  ['an empty range of processors', { cpu: { cpus: '3-1' } }, 'cpu.cpus'],
  ['a memory limit below one page', { memory: { limit: 100 } }, 'memory.limit'],
  ['swap below memory', { memory: { limit: 64 * 2 ** 20, swap: 2 ** 20 } }, 'memory.swap'],
  ['swap without memory', { memory: { swap: 64 * 2 ** 20 } }, 'memory.swap'],
  ['more processes than there are pids', { pids: { limit: 2 ** 40 } }, 'pids.limit'],
  ['a weight out of range', { blockIO: { weight: 5000 } }, 'blockIO.weight'],
  [
    'a rate on what is no device',
    { blockIO: { throttleReadBpsDevice: [{ path: '/etc/passwd', rate: 1 }] } },
    'blockIO.throttle',
  ],
  [
    'a rate on what is absent',
    { blockIO: { throttleReadBpsDevice: [{ path: '/dev/absent', rate: 1 }] } },
    'blockIO.throttle',
  ],
]

for (const [what, resources, key] of refusals) {
  test(`refuses ${what}, names ${key} and what is allowed, and undo leaves nothing`, async (t) => {
    await using stack = await cgroupStack()
    const failure = await failureOf(stack.make('refused', resources))
    t.is(failure.code, 'limit_refused')
    t.is(failure.details['key'], key)
    t.regex(failure.message, new RegExp(`^cannot set ${key.replace('.', String.raw`\.`)} to .*; allowed: `))
    await stack.undo('refused')
    t.deepEqual(stack.directories('refused'), [])
  })
}

test('refuses ids that are no path component', async (t) => {
  await using stack = await cgroupStack()
  for (const id of ['..', '.monitors', 'a/b', '', '-x']) {
    t.is((await failureOf(stack.make(id))).code, 'invalid_message')
  }
})

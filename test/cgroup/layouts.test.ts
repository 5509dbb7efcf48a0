import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { HasFile } from '../../services/cgroup/asked.ts'
import { type Hierarchy, hierarchiesOf } from '../../services/cgroup/hierarchies.ts'
import { limitsFor } from '../../services/cgroup/limits.ts'
import { prepareParents } from '../../services/cgroup/parents.ts'
import type { Throttle } from '../../services/cgroup/throttle.ts'
import { Resources } from '../../shared/contracts/oci.ts'
import { Failure } from '../../shared/failure.ts'
import { parseMountTable } from '../../shared/mount-table.ts'
import { names as namesOf } from '../../shared/names.ts'
import { createRecorder } from '../../shared/recorder.ts'

const names = namesOf({ root: '/absent', tag: 'test' })

/** A v2 tree as files: what a host with these controllers would show. */
const v2Tree = (t: ExecutionContext, controllers: string) => {
  const root = mkdtempSync(join(tmpdir(), 'dolly-test-cgroup-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  writeFileSync(join(root, 'cgroup.controllers'), `${controllers}\n`)
  return root
}

const v1 = (mountPoint: string, options: string, root = '/') =>
  `30 23 0:28 ${root} ${mountPoint} rw,relatime shared:9 - cgroup cgroup rw,${options}`
const v2 = (mountPoint: string) => `38 23 0:38 / ${mountPoint} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate`
const detect = (...lines: string[]) => hierarchiesOf(parseMountTable(lines.join('\n')))

test('a v2 host is one hierarchy with the controllers it says it has', (t) => {
  const root = v2Tree(t, 'cpuset cpu io memory hugetlb pids rdma misc')
  t.deepEqual(detect(v2(root)), [
    { version: 2, directory: root, controllers: ['cpu', 'cpuset', 'memory', 'pids', 'io'] },
  ])
})

test('a hybrid host has each controller where it is, and the v2 tree without any', (t) => {
  const root = v2Tree(t, '')
  t.deepEqual(
    detect(
      v1('/c/systemd', 'xattr,name=systemd'),
      v2(root),
      v1('/c/cpu,cpuacct', 'cpu,cpuacct'),
      v1('/c/memory', 'memory'),
      v1('/c/net_cls', 'net_cls,net_prio'),
    ),
    [
      { version: 2, directory: root, controllers: [] },
      { version: 1, directory: '/c/cpu,cpuacct', controllers: ['cpu', 'cpuacct'] },
      { version: 1, directory: '/c/memory', controllers: ['memory'] },
    ],
  )
})

test('controllers can be split between v1 and v2', (t) => {
  const root = v2Tree(t, 'cpu io memory')
  const hierarchies = detect(v2(root), v1('/c/pids', 'pids'))
  t.deepEqual(
    hierarchies.map(({ version, controllers }) => [version, controllers]),
    [
      [2, ['cpu', 'memory', 'io']],
      [1, ['pids']],
    ],
  )
})

test('a tree that is mounted twice counts once, and a part of it only when the whole is not there', (t) => {
  t.deepEqual(
    detect(v1('/part', 'memory', '/docker/x'), v1('/whole', 'memory'), v1('/again', 'memory')).map(
      ({ directory }) => directory,
    ),
    ['/whole'],
  )
  t.deepEqual(
    detect(v1('/part', 'memory', '/docker/x')).map(({ directory }) => directory),
    ['/part'],
  )
})

test('a mount point with a space is understood', (t) => {
  t.is(detect(v1(String.raw`/with\040space`, 'pids'))[0]?.directory, '/with space')
})

const unified: Hierarchy[] = [
  { version: 2, directory: '/u', controllers: ['cpu', 'cpuset', 'memory', 'pids', 'io'] },
]
const host: { throttles: readonly Throttle[]; hasFile: HasFile } = { throttles: [], hasFile: () => true }
const written = (resources: object, hierarchies = unified, on = host) =>
  limitsFor(Resources.parse(resources), hierarchies, on).map(({ file, value }) => `${file} = ${value}`)

const mebibyte = 2 ** 20

const translations: [string, object, string[]][] = [
  ['nothing', {}, []],
  ['a quota with its period', { cpu: { quota: 1000, period: 100_000 } }, ['cpu.max = 1000 100000']],
  ['a quota alone', { cpu: { quota: 50_000 } }, ['cpu.max = 50000 100000']],
  ['a period alone', { cpu: { period: 50_000 } }, ['cpu.max = max 50000']],
  ['no quota', { cpu: { quota: -1 } }, ['cpu.max = max 100000']],
  ['shares', { cpu: { shares: 512 } }, ['cpu.weight = 59']],
  ['processors', { cpu: { cpus: '0-1' } }, ['cpuset.cpus = 0-1']],
  ['memory', { memory: { limit: 512 * mebibyte } }, ['memory.max = 536870912']],
  ['memory without limit', { memory: { limit: -1 } }, ['memory.max = max']],
  [
    'swap, which v1 counts together with memory',
    { memory: { limit: 512 * mebibyte, swap: 768 * mebibyte } },
    ['memory.max = 536870912', 'memory.swap.max = 268435456'],
  ],
  [
    'no swap',
    { memory: { limit: mebibyte, swap: mebibyte } },
    ['memory.max = 1048576', 'memory.swap.max = 0'],
  ],
  [
    'swap without limit',
    { memory: { limit: mebibyte, swap: -1 } },
    ['memory.max = 1048576', 'memory.swap.max = max'],
  ],
  ['a reservation', { memory: { reservation: mebibyte } }, ['memory.low = 1048576']],
  ['processes', { pids: { limit: 512 } }, ['pids.max = 512']],
  ['any number of processes', { pids: { limit: -1 } }, ['pids.max = max']],
  ['a weight', { blockIO: { weight: 500 } }, ['io.weight = default 4950']],
]

for (const [what, resources, files] of translations) {
  test(`v2 is told of ${what}`, (t) => t.deepEqual(written(resources), files))
}

test('v2 has the rates of a device in one line', (t) => {
  const throttles = [
    { device: '8:0', v1File: 'blkio.throttle.read_bps_device', v2Word: 'rbps', rate: 1000 },
    { device: '8:16', v1File: 'blkio.throttle.read_bps_device', v2Word: 'rbps', rate: 3000 },
    { device: '8:0', v1File: 'blkio.throttle.write_iops_device', v2Word: 'wiops', rate: 20 },
  ]
  const blockIO = { throttleReadBpsDevice: [{ path: '/dev/sda', rate: 1000 }] }
  const limits = limitsFor(Resources.parse({ blockIO }), unified, { ...host, throttles })
  t.deepEqual(
    limits.map(({ value }) => value),
    ['8:0 rbps=1000 wiops=20', '8:16 rbps=3000'],
  )
  t.true(limits[0]?.verify('8:16 rbps=1 wbps=max\n8:0 rbps=1000 wbps=max riops=max wiops=20'))
  t.false(limits[0]?.verify('8:0 rbps=1000 wbps=max riops=max wiops=max'))
})

test('bfq weighs on its own scale', (t) => {
  const onlyBfq = { ...host, hasFile: (_: string, file: string) => file === 'io.bfq.weight' }
  t.deepEqual(written({ blockIO: { weight: 500 } }, unified, onlyBfq), ['io.bfq.weight = 500'])
})

test('each limit goes to the hierarchy that has its controller', (t) => {
  const split: Hierarchy[] = [
    { version: 2, directory: '/u', controllers: ['cpu'] },
    { version: 1, directory: '/pids', controllers: ['pids'] },
    { version: 1, directory: '/mem', controllers: ['memory'] },
  ]
  const limits = limitsFor(
    Resources.parse({
      cpu: { quota: 1000 },
      pids: { limit: 5 },
      memory: { limit: mebibyte, swap: mebibyte },
    }),
    split,
    host,
  )
  t.deepEqual(
    limits.map(({ hierarchy, file }) => `${hierarchy}/${file}`),
    ['/u/cpu.max', '/pids/pids.max', '/mem/memory.limit_in_bytes', '/mem/memory.memsw.limit_in_bytes'],
  )
})

const refusals: [string, object, string, string][] = [
  ['shares out of range', { cpu: { shares: 1 } }, 'limit_refused', 'cpu.shares'],
  ['a period out of range', { cpu: { period: 10 } }, 'limit_refused', 'cpu.period'],
  ['swap below memory', { memory: { limit: mebibyte, swap: 1 } }, 'limit_refused', 'memory.swap'],
  ['a weight out of range', { blockIO: { weight: 5 } }, 'limit_refused', 'blockIO.weight'],
]

for (const [what, resources, code, key] of refusals) {
  test(`v2 refuses ${what}`, (t) => {
    const failure = t.throws(() => written(resources), { instanceOf: Failure })
    t.deepEqual([failure.code as string, failure.details['key']], [code, key])
  })
}

test('a limit whose controller the host lacks is unsupported, and no other', (t) => {
  const few: Hierarchy[] = [{ version: 2, directory: '/u', controllers: ['cpu'] }]
  const failure = t.throws(() => written({ memory: { limit: mebibyte } }, few), { instanceOf: Failure })
  t.is(failure.code, 'unsupported')
  t.is(failure.message, 'cannot limit memory: this host has no memory cgroup controller')
  t.deepEqual(written({ cpu: { shares: 1024 } }, few), ['cpu.weight = 100'])
})

test('without swap accounting only a limit of swap is refused', (t) => {
  const noSwap = {
    ...host,
    hasFile: (_: string, file: string) => !file.includes('swap') && !file.includes('memsw'),
  }
  const v1Memory: Hierarchy[] = [{ version: 1, directory: '/m', controllers: ['memory'] }]
  for (const hierarchies of [unified, v1Memory]) {
    t.is(written({ memory: { limit: mebibyte, swap: -1 } }, hierarchies, noSwap).length, 1)
    t.throws(() => written({ memory: { limit: mebibyte, swap: mebibyte * 2 } }, hierarchies, noSwap), {
      message: /swapaccount=1/,
    })
  }
})

test('on v2 controllers are passed down level by level, and only those that arrive are used', async (t) => {
  const root = v2Tree(t, 'cpu memory pids')
  const parent = join(root, names.cgroupParent)
  mkdirSync(parent)
  writeFileSync(join(root, 'cgroup.subtree_control'), 'memory\n')
  writeFileSync(join(parent, 'cgroup.subtree_control'), 'memory pids\n')
  const record = createRecorder()
  const prepared = await prepareParents(record, names, detect(v2(root)))
  t.deepEqual(
    record.entries.map(({ equivalent }) => equivalent.replaceAll(root, '')),
    [
      'echo +cpu > /cgroup.subtree_control',
      'echo +pids > /cgroup.subtree_control',
      `echo +cpu > /${names.cgroupParent}/cgroup.subtree_control`,
    ],
  )
  // A plain file holds what was written last; the kernel would show every controller.
  t.is(readFileSync(join(parent, 'cgroup.subtree_control'), 'utf8'), '+cpu')
  t.deepEqual(prepared[0]?.controllers, [])
})

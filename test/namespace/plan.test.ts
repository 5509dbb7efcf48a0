import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { bundlePaths } from '../../services/namespace/bundle.ts'
import { capabilityMask } from '../../services/namespace/capability-set.ts'
import { takesNewborn } from '../../services/namespace/cgroup-state.ts'
import { commandOf } from '../../services/namespace/command.ts'
import { planOf } from '../../services/namespace/container.ts'
import { tmpfsMount } from '../../services/namespace/file-systems.ts'
import { hostsFile, resolverFile } from '../../services/namespace/host-files.ts'
import { encodePlan } from '../../services/namespace/operation.ts'
import { containerPlan } from '../../services/namespace/plan.ts'
import { failureOf, parseReport } from '../../services/namespace/report.ts'
import { sysctlWrites } from '../../services/namespace/restrictions.ts'
import { signalNumber } from '../../services/namespace/signal.ts'
import { transcriptOf } from '../../services/namespace/transcript.ts'
import { namespace } from '../../shared/contracts/steps.ts'
import { type ContainerWish, containerInput } from './namespace-host.ts'

const plan = (wish?: ContainerWish) =>
  containerPlan(planOf(namespace.input.parse(containerInput('/r', 'x', wish))), bundlePaths('/b/x'), {
    cgroupMounts: [],
    filter: undefined,
  })

test('a plan is written as NUL-terminated strings with argument counts', (t) => {
  t.is(encodePlan([['clone', 'pid'], ['session']]).toString(), 'clone\x001\0pid\0session\x000\0')
})

test('cgroups are opened before the pivot, joined after the mounts and before the command', (t) => {
  const calls = plan({ cgroupDirectories: ['/sys/fs/cgroup/cpu/a'] }).map((operation) =>
    operation.slice(0, 3).join(' '),
  )
  const at = (call: string) => calls.findIndex((candidate) => candidate.startsWith(call))
  const order = [
    'open 1',
    'clone',
    'pivot',
    'bind 4 /proc',
    'write 1 0',
    'unshare cgroup',
    'bounding',
    'user',
    'capabilities',
    'wait',
    'exec',
  ]
  t.deepEqual(
    order.map(at),
    order.map(at).toSorted((a, b) => a - b),
  )
  t.false(order.map(at).includes(-1))
})

test('init is born into its v2 cgroup, and moves itself by a single thread into those of v1', (t) => {
  const tree = { root: '/', options: [], source: 'cgroup', superOptions: [] }
  const mounts = [
    { ...tree, mountPoint: '/c/cpu', fsType: 'cgroup' },
    { ...tree, mountPoint: '/c/unified', fsType: 'cgroup2' },
  ]
  const spec = namespace.input.parse(
    containerInput('/r', 'x', { cgroupDirectories: ['/c/cpu/x', '/c/unified/x'] }),
  )
  const calls = containerPlan(planOf(spec), bundlePaths('/b/x'), {
    cgroupMounts: mounts,
    filter: undefined,
  }).map((call) => call.join(' '))
  t.true(calls.includes('open 1 write /c/cpu/x/tasks'))
  t.true(calls.includes('open 2 directory /c/unified/x'))
  t.true(calls.includes('clone pid mount uts ipc into=2'))
  t.deepEqual(
    calls.filter((call) => call.startsWith('write')),
    ['write 1 0'],
  )
})

test('a v2 cgroup with a tight quota, or full of processes, is joined late', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'dolly-cgroup-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const write = (file: string, text: string) => writeFile(join(directory, file), text)
  t.true(takesNewborn(directory), 'no controller limits it')
  await write('cpu.max', '1000 100000\n')
  t.false(takesNewborn(directory))
  await write('cpu.max', 'max 100000\n')
  await write('pids.max', '2\n')
  await write('pids.current', '1\n')
  t.true(takesNewborn(directory))
  await write('pids.current', '2\n')
  t.false(takesNewborn(directory))
})

test('the network namespace is joined, the host’s, or as the plan says', (t) => {
  t.true(
    plan({ networkNamespace: '/run/netns/n' }).some(([name, kind]) => name === 'enter' && kind === 'network'),
  )
  const host = plan({ networkNamespace: null })
  t.false(host.some(([name]) => name === 'enter'))
  t.false(host.some(([name, path]) => name === 'proc-write' && path?.includes('ping_group_range')))
})

test('root keeps nodev, and loses nosuid only when new privileges are allowed', (t) => {
  const attributes = (noNewPrivileges: boolean) =>
    plan({ process: { noNewPrivileges } }).find(([name, , target]) => name === 'bind' && target === '/r')?.[3]
  t.is(attributes(true), 'nodev,nosuid')
  t.is(attributes(false), 'nodev,-nosuid')
})

test('image and process configuration merge as in Docker', (t) => {
  const image = {
    Entrypoint: ['/entry'],
    Cmd: ['serve'],
    Env: ['A=1', 'B=2'],
    WorkingDir: '/srv',
    User: 'www',
  }
  const merged = (process: object) =>
    commandOf(
      {
        id: 'x',
        hostname: 'h',
        process: { ...containerInput('/r', 'x').process, args: undefined, ...process },
      },
      image,
    )
  t.deepEqual(merged({}).args, ['/entry', 'serve'])
  t.deepEqual(merged({ args: ['other'] }).args, ['/entry', 'other'])
  t.deepEqual(merged({ entrypoint: ['sh'] }).args, ['sh'])
  t.is(merged({}).cwd, '/srv')
  t.is(merged({ user: '5' }).user, '5')
  t.deepEqual(merged({ env: ['B=3', 'C=4'] }).env.slice(-3), ['A=1', 'B=3', 'C=4'])
  t.throws(() => merged({ entrypoint: [] }), { message: /names a command/ })
})

test('only namespaced sysctls may be set', (t) => {
  const paths = (sysctls: Record<string, string>, ownNetwork = true) =>
    sysctlWrites(sysctls, { ownNetwork }).map(([, path]) => path)
  t.deepEqual(paths({ 'net.core.somaxconn': '1' }), [
    '/proc/sys/net/ipv4/ping_group_range',
    '/proc/sys/net/core/somaxconn',
  ])
  t.deepEqual(paths({ 'kernel.shmmax': '1', 'fs.mqueue.msg_max': '2' }, false).length, 2)
  for (const key of ['kernel.hostname', 'vm.swappiness', 'net..x', 'net.a/../../../vm.x', 'fs.mqueue.']) {
    t.throws(() => paths({ [key]: '1' }), { code: 'not_permitted' }, key)
  }
  t.throws(() => paths({ 'net.core.somaxconn': '1' }, false), { code: 'not_permitted' })
})

test('tmpfs entries take Compose’s options and refuse others', (t) => {
  t.deepEqual(tmpfsMount('/run').slice(3), ['/run', 'nosuid,nodev,noexec', 'mode=1777', 'apart'])
  t.is(tmpfsMount('/proc/scsi').at(-1), 'plain')
  t.deepEqual(tmpfsMount('/run/:size=64m,exec,ro').slice(3, 6), [
    '/run',
    'nosuid,nodev,ro',
    'mode=1777,size=67108864',
  ])
  for (const entry of ['run', '/', '//', '/run:size=x', '/run:huge=always']) {
    t.throws(() => tmpfsMount(entry), { code: 'invalid_message' }, entry)
  }
})

test('hosts and resolver files', (t) => {
  const files = {
    hostname: 'h',
    domainname: 'd',
    address: '10.0.0.2/16',
    extraHosts: ['a:1.2.3.4', 'b=::2'],
    nameservers: ['8.8.8.8'],
    search: ['x', 'y'],
  }
  t.true(hostsFile(files).endsWith('10.0.0.2\th.d h\n1.2.3.4\ta\n::2\tb\n'))
  t.is(resolverFile(files), 'search x y\nnameserver 8.8.8.8\n')
})

test('capabilities and signals by name', (t) => {
  t.is(capabilityMask(['CAP_CHOWN', 'CAP_CHECKPOINT_RESTORE']), '0x10000000001')
  t.throws(() => capabilityMask(['CAP_FLY']), { code: 'invalid_message' })
  t.deepEqual(['SIGTERM', 'term', '15', 'RTMIN+1', 'SIGRTMAX'].map(signalNumber), [15, 15, 15, 35, 64])
  for (const bad of ['SIGFLY', '0', '65', '']) t.throws(() => signalNumber(bad), { code: 'invalid_message' })
})

test('plan and report make the transcript, in shell', (t) => {
  const operations = [
    ['tree', '1', '/r', 'single'],
    ['clone', 'pid', 'network'],
    ['bind', '1', '/r', 'nodev,-nosuid', 'directory', 'inside'],
    ['pivot', '/r'],
    ['hostname', 'dolly'],
  ] as const
  const report = parseReport('0 0 900\n1 0 365000\n2 0 1000\n3 0 0\n4 1 5 too long\n')
  t.deepEqual(
    transcriptOf(operations, report).map(({ equivalent, error }) =>
      error ? [equivalent, error] : equivalent,
    ),
    [
      'unshare --fork --pid --net',
      'mount --bind -o nodev,suid /r /r',
      'cd /r && pivot_root . . && umount -l . && cd /',
      ['hostname dolly', 'EPERM: operation not permitted: too long'],
    ],
  )
})

test('failures name what, where and why', (t) => {
  const outcome = { index: 0, nanoseconds: 0, detail: '' }
  const missing = failureOf('container x', ['resolve', 'fly'], { ...outcome, errno: 2 })
  t.is(missing.code, 'command_not_found')
  t.is(missing.message, 'cannot run "fly" in container x: there is no such command on its PATH')
  t.is(
    failureOf('container x', ['resolve', '/etc'], { ...outcome, errno: 13 }).code,
    'command_not_executable',
  )
  t.is(
    failureOf('container x', ['rlimit', 'nofile', '1', '2'], { ...outcome, errno: 1 }).code,
    'limit_refused',
  )
})

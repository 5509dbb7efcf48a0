import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync, statSync } from 'node:fs'
import { cp, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { execa } from 'execa'
import { waitFor } from '../../services/namespace/bounded-wait.ts'
import { nativeProgram } from '../../services/namespace/native-program.ts'
import { execStart, execWait, processExec } from '../../shared/contracts/operations.ts'
import { type ContainerWish, type NamespaceTestHost, namespaceHost } from '../namespace/namespace-host.ts'
import { attackProgram } from './attack-program.ts'

let program: string
test.before(async () => {
  program = await attackProgram()
})

const status = (pid: unknown, field: string): string[] =>
  (
    new RegExp(`^${field}:\\s+(.*)$`, 'm').exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1] ??
    ''
  )
    .trim()
    .split(/\s+/)

/** How the kernel answers each attack from inside a container. */
const answers = async (host: NamespaceTestHost, attacks: readonly string[], wish: ContainerWish = {}) => {
  await cp(program, join(host.rootfs, 'bin/attack'))
  const script = attacks.map((attack) => `attack ${attack}`).join('\n')
  await host.make('attacker', { args: ['sh', '-c', script], ...wish })
  await host.exitCode('attacker')
  const said = host.output('attacker').trim().split('\n')
  await host.undo('attacker')
  return Object.fromEntries(attacks.map((attack, index) => [attack, said[index]]))
}

const everyone = (expected: string, attacks: readonly string[]) =>
  Object.fromEntries(attacks.map((attack) => [attack, expected]))

test('root inside is a stranger outside, with eleven capabilities, a filter and no new privileges', async (t) => {
  await using host = await namespaceHost()
  const { pid } = await host.make('x', { ownNetwork: true })
  await waitFor(() => readlinkSync(`/proc/${pid}/exe`).startsWith('/bin') || undefined, 5000)
  const [, base = '', size] = readFileSync(`/proc/${pid}/uid_map`, 'utf8').trim().split(/\s+/)
  t.is(size, '65536')
  t.true(Number(base) >= 65_536)
  t.is(readFileSync(`/proc/${pid}/gid_map`, 'utf8'), readFileSync(`/proc/${pid}/uid_map`, 'utf8'))
  for (const field of ['Uid', 'Gid']) t.deepEqual(status(pid, field), Array<string>(4).fill(base), field)
  for (const set of ['CapPrm', 'CapEff', 'CapBnd']) t.deepEqual(status(pid, set), ['00000000800405fb'], set)
  for (const set of ['CapInh', 'CapAmb']) t.deepEqual(status(pid, set), ['0000000000000000'], set)
  t.deepEqual(status(pid, 'NoNewPrivs'), ['1'])
  t.deepEqual(status(pid, 'Seccomp'), ['2'])
  for (const kind of ['user', 'pid', 'mnt', 'uts', 'ipc', 'net', 'cgroup'])
    t.not(readlinkSync(`/proc/${pid}/ns/${kind}`), readlinkSync(`/proc/self/ns/${kind}`), kind)
})

test('what it writes belongs to its root inside and, unshifted, to root on disk', async (t) => {
  await using host = await namespaceHost()
  await host.make('x', { args: ['sh', '-c', 'touch /made; stat -c %u:%g /made /bin /dev/null /proc/1'] })
  t.is(await host.exitCode('x'), 0)
  t.deepEqual(host.output('x').trim().split('\n'), Array(4).fill('0:0'))
  t.deepEqual([statSync(join(host.rootfs, 'made')).uid, statSync(join(host.rootfs, 'bin')).uid], [0, 0])
})

test('calls that reach the host’s kernel are refused', async (t) => {
  await using host = await namespaceHost()
  const refused = ['bpf', 'userfault', 'syslog', 'module', 'reboot', 'handle', 'clock', 'swapon /bin/sh']
  t.deepEqual(await answers(host, refused), everyone('EPERM', refused))
})

test('sockets of AF_ALG and AF_VSOCK are refused by either kernel entry, raw and packet sockets too', async (t) => {
  await using host = await namespaceHost()
  // Where the kernel has no 32-bit entry, whoever calls it dies.
  const { exitCode } = await execa(program, ['entry32'], { reject: false })
  const by32Bit = exitCode === 0 ? ['socketcall 40', 'socketcall 38'] : []
  if (by32Bit.length === 0) t.log('this kernel has no 32-bit entry')
  const absent = ['socket 38 5', 'socket 40 1', ...by32Bit]
  t.deepEqual(await answers(host, absent, { ownNetwork: true }), everyone('ENOSYS', absent))
  const raw = ['socket 2 3 1', 'socket 10 3 58', 'socket 17 3']
  t.deepEqual(await answers(host, raw, { ownNetwork: true }), everyone('EPERM', raw))
  const usual = ['socket 1 1', 'socket 2 1', 'socket 2 2', 'socket 10 1', 'socket 16 3']
  t.deepEqual(await answers(host, usual, { ownNetwork: true }), everyone('ok', usual))
})

test('no device can be made, no file system mounted or uncovered, no namespace of the host entered', async (t) => {
  await using host = await namespaceHost()
  const nodes = ['mknod /raw 8 0', 'mknod /dev/raw 7 0', 'mknod /tmp/raw 254 0']
  t.deepEqual(await answers(host, nodes), everyone('EPERM', nodes))
  const mounts = [
    'mount proc /tmp proc',
    'mount sysfs /tmp sysfs',
    'mount cgroup /tmp cgroup',
    'mount cgroup2 /tmp cgroup2',
    'mount tmpfs /tmp tmpfs',
    'umount /proc/keys',
    'umount /proc/sys',
    'umount /',
    'unshare 0x20000',
    'setns /proc/1/ns/mnt',
  ]
  t.deepEqual(await answers(host, mounts), everyone('EPERM', mounts))
})

/** By the kernel's numbers: mount, cgroup, uts, ipc, user, pid and network. */
const namespaceFlags = [
  '0x20000',
  '0x2000000',
  '0x4000000',
  '0x8000000',
  '0x10000000',
  '0x20000000',
  '0x40000000',
]

test('it makes no namespaces, in which it would have every capability, by any call', async (t) => {
  await using host = await namespaceHost()
  const made = namespaceFlags.flatMap((flag) => [`unshare ${flag}`, `clone ${flag}`])
  const together = ['unshare 0x10000000', 'clone 0x10020000']
  for (const process of [{}, { user: 'ada' }])
    t.deepEqual(
      await answers(host, [...made, ...together], { process }),
      everyone('EPERM', [...made, ...together]),
    )
  // Its flags are behind a pointer: glibc goes back to clone(2) where it is not there.
  t.deepEqual(await answers(host, ['clone3 0x10000000', 'clone3 0']), {
    'clone3 0x10000000': 'ENOSYS',
    'clone3 0': 'ENOSYS',
  })
  const usual = ['clone 0', 'unshare 0x200', 'unshare 0x400']
  t.deepEqual(await answers(host, usual), everyone('ok', usual))
  const admin = { process: { capabilities: ['CAP_SYS_ADMIN'] } }
  t.deepEqual(await answers(host, ['unshare 0x10000000', 'clone3 0'], admin), {
    'unshare 0x10000000': 'ok',
    'clone3 0': 'ok',
  })
})

test('with SYS_ADMIN of its own it still gets no device, no host setting and no cgroup of the host', async (t) => {
  await using host = await namespaceHost()
  const wish = {
    process: { capabilities: ['CAP_SYS_ADMIN', 'CAP_MKNOD', 'CAP_SYS_RAWIO', 'CAP_DAC_OVERRIDE'] },
  }
  const refused = ['mknod /raw 8 0', 'syslog', 'module', 'clock', 'reboot']
  t.deepEqual(await answers(host, refused, wish), everyone('EPERM', refused))
  const settings = ['open /proc/sysrq-trigger 1', 'open /proc/sys/kernel/core_pattern 1']
  const said = await answers(host, settings, wish)
  for (const setting of settings) t.regex(said[setting] ?? '', /EROFS|EACCES|EPERM|ENOENT/, setting)
})

test('it sees no descriptor of who made it, and cannot write to the program that does', async (t) => {
  await using host = await namespaceHost()
  const before = createHash('sha256').update(readFileSync(nativeProgram)).digest('hex')
  const script =
    'while :; do for p in /proc/[0-9]*; do (: >> $p/exe) 2>/dev/null && echo wrote $p; ls $p/fd/9 2>/dev/null && echo leak $p; done; done'
  await host.make('x', { args: ['sh', '-c', script] })
  for (let round = 0; round < 5; round++) {
    const { execId } = await host.request(processExec, { id: 'x', args: ['ls', '/proc/self/fd'] })
    await host.request(execStart, { id: 'x', execId })
    t.deepEqual(await host.request(execWait, { id: 'x', execId, timeoutMs: 20_000 }), { exitCode: 0 })
  }
  t.is(host.output('x'), '')
  t.is(createHash('sha256').update(readFileSync(nativeProgram)).digest('hex'), before)
})

test('kill(-1) and kill(0) end no more than the container', async (t) => {
  await using host = await namespaceHost()
  const neighbour = await host.make('y')
  t.deepEqual(await answers(host, ['kill -1 9', 'kill 0 0']), { 'kill -1 9': 'ESRCH', 'kill 0 0': 'ok' })
  t.is((await host.state('y'))['pid'], neighbour.pid)
  const outside = [`kill ${neighbour.pid} 0`, `kill ${process.pid} 0`]
  t.deepEqual(await answers(host, outside), everyone('ESRCH', outside))
})

test('a privileged container is refused by its node too, and is root of the host where it is allowed', async (t) => {
  const wish = { privileged: true, userNamespace: null, seccomp: 'unconfined' }
  await using strict = await namespaceHost()
  await t.throwsAsync(strict.make('x', wish), { code: 'not_permitted', message: /DOLLY_ALLOW_PRIVILEGED=on/ })
  await using lenient = await namespaceHost({ DOLLY_ALLOW_PRIVILEGED: 'on' })
  const { pid } = await lenient.make('x', wish)
  t.deepEqual(status(pid, 'Uid'), Array<string>(4).fill('0'))
  t.notRegex(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'), / \/proc\/\S+ /, 'nothing is masked')
})

test('in the user namespace of the host none has a capability that makes it root of the host', async (t) => {
  await using host = await namespaceHost()
  for (const name of ['SYS_MODULE', 'SYS_ADMIN', 'SYS_PTRACE', 'DAC_READ_SEARCH']) {
    const wish = { process: { capabilities: [`CAP_${name}`] }, userNamespace: null }
    const message = `cannot give CAP_${name} to container x in the host's user namespace: it would be root of the host; DOLLY_ALLOW_PRIVILEGED=on allows it`
    await t.throwsAsync(host.make('x', wish), { code: 'not_permitted', message })
  }
})

test('links planted in the image lead no mount and no write outside', async (t) => {
  await using host = await namespaceHost()
  const victim = join(host.config.root, 'victim')
  await writeFile(victim, 'untouched', { mode: 0o666 })
  await symlink(`../../../../../..${victim}`, join(host.rootfs, 'etc/resolv.conf'))
  await host.make('x', { args: ['sh', '-c', 'echo mine > /etc/resolv.conf; cat /etc/resolv.conf'] })
  t.is(await host.exitCode('x'), 0)
  t.is(host.output('x'), 'mine\n')
  t.is(readFileSync(victim, 'utf8'), 'untouched')
})

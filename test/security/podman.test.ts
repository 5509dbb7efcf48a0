import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { run } from '../../shared/recorder.ts'
import { removeCgroups } from '../bench/cgroup-leftovers.ts'
import { privateNamespaces } from '../bench/private-namespaces.ts'
import { namespaceHost } from '../namespace/namespace-host.ts'
import { attackProgram } from './attack-program.ts'

const attacks = `bpf, userfault, syslog, module, reboot, handle, clock, swapon /bin/sh, unshare 0x20000,
  socket 38 5, socket 40 1, socketcall 40, socket 17 3, socket 2 3 1, mknod /tmp/raw 8 0,
  mount proc /tmp proc, mount tmpfs /tmp tmpfs, mount cgroup /tmp cgroup, umount /proc/keys`.split(/,\s+/)
const script = [
  ...attacks.map((attack) => `echo "attack ${attack}: $(attack ${attack})"`),
  'while read key value; do case $key in Cap*|Seccomp:) echo $key $value;; esac; done < /proc/self/status',
  'while read a b c d point options rest; do echo "mount $point ${options%%,*}"; done < /proc/self/mountinfo',
].join('\n')

/** What the script says under Podman with a storage of its own, or why it cannot run here. */
const inPodman = async (rootfs: string): Promise<{ said: string } | { unavailable: string }> => {
  await using stack = new AsyncDisposableStack()
  const { enter } = stack.use(await privateNamespaces({ network: false }))
  stack.defer(() => removeCgroups('libpod_parent'))
  const directory = await mkdtemp(join(tmpdir(), 'dolly-test-podman-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const storage = ['root', 'runroot', 'tmpdir'].flatMap((kind) => [`--${kind}`, join(directory, kind)])
  const options = ['--cgroup-manager', 'cgroupfs', '--events-backend', 'file', ...storage]
  // Its own defaults are more than the hard limits of some hosts.
  const limits = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024']
  const what = ['run', '--rm', '--network', 'none', ...limits, '--rootfs', rootfs, 'sh', '-c', script]
  const [file = 'podman', ...args] = [...enter, 'podman', ...options, ...what]
  try {
    return { said: await run(file, args, { timeoutMs: 60_000 }) }
  } catch (error) {
    return { unavailable: String(error).slice(0, 300) }
  }
}

const linesOf = (said: string, start: string) => said.split('\n').filter((line) => line.startsWith(start))

test('a container is refused whatever Podman refuses, with the same capabilities and no path less covered', async (t) => {
  await using host = await namespaceHost()
  await cp(await attackProgram(), join(host.rootfs, 'bin/attack'))
  const podman = await inPodman(host.rootfs)
  if ('unavailable' in podman) {
    t.log(podman.unavailable)
    t.pass('Podman cannot run here')
    return
  }
  await host.make('x', { args: ['sh', '-c', script], ownNetwork: true })
  t.is(await host.exitCode('x'), 0)
  const [ours, theirs] = [host.output('x'), podman.said]
  t.deepEqual(linesOf(ours, 'Cap'), linesOf(theirs, 'Cap'))
  t.deepEqual(linesOf(ours, 'Seccomp:'), ['Seccomp: 2'])
  for (const line of linesOf(theirs, 'attack ').filter((one) => !one.endsWith(': ok'))) {
    const attack = line.slice(0, line.lastIndexOf(':'))
    t.notRegex(linesOf(ours, `${attack}:`)[0] ?? '', /: ok$/, attack)
  }
  const covered = linesOf(theirs, 'mount ').filter((line) => /^mount \/(proc|sys)\/(?!fs\/cgroup)/.test(line))
  t.true(covered.length > 4)
  for (const line of covered) {
    const [, point = ''] = line.split(' ')
    t.deepEqual(linesOf(ours, `mount ${point} `), [`mount ${point} ro`], point)
  }
})

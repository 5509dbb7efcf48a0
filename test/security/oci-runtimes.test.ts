import { readlinkSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { parseMountTable } from '../../shared/mount-table.ts'
import { namespaceHost } from '../namespace/namespace-host.ts'
import { attackProgram } from './attack-program.ts'
import { inRuntime } from './oci-bundle.ts'

let program: string
test.before(async () => {
  program = await attackProgram()
})

const attacks = `bpf, userfault, syslog, module, reboot, handle, clock, swapon /bin/sh, unshare 0x20000,
  unshare 0x10000000, clone 0x10000000, clone3 0x10000000, socket 38 5, socket 40 1, socket 17 3, socket 2 3 1,
  socket 2 1, socket 16 3, mknod /tmp/raw 8 0, mount proc /tmp proc, mount tmpfs /tmp tmpfs,
  mount cgroup /tmp cgroup, umount /proc/keys, umount /proc, open /dev/null 1, open /proc/kcore 0,
  open /proc/sys/kernel/hostname 1, open /proc/self/oom_score_adj 1, setns /proc/1/ns/mnt`.split(/,\s+/)

const script = [
  ...attacks.map((attack) => `echo "attack ${attack}: $(attack ${attack})"`),
  'while read key value; do case $key in Uid:|Gid:|Groups:|Cap*|NoNewPrivs:|Seccomp:|Umask:|SigBlk:|SigCgt:) echo "status $key $value";; esac; done < /proc/1/status',
  'for entry in /dev/* /dev/pts/*; do echo "node $(stat -c "%n %F %a %u:%g %t:%T" $entry) $(readlink $entry)"; done',
  'for path in /proc/keys /proc/timer_list /proc/kcore /proc/interrupts /sys/firmware; do echo "masked $path $(cat $path 2>&1 | wc -c) $(ls $path 2>/dev/null | wc -l)"; done',
  'for kind in pid mnt uts ipc cgroup user net; do echo "namespace $kind $(readlink /proc/1/ns/$kind)"; done',
  'while read line; do echo "limit $line"; done < /proc/1/limits',
  'echo "fd $(ls /proc/self/fd | wc -l)"; echo "cwd $(pwd)"; echo "host $(hostname)"; echo "adj $(cat /proc/1/oom_score_adj)"',
  'while read variable; do echo "env $variable"; done << end',
  '$(env)',
  'end',
  'read pid name state ppid group session rest < /proc/1/stat; echo "session $group $session"',
  'while read line; do echo "mountinfo $line"; done < /proc/self/mountinfo',
].join('\n')

const kinds = ['attack', 'status', 'node', 'masked', 'fd', 'cwd', 'host', 'adj', 'env', 'session', 'limit']
/** Everything that was said but the numbers of this run, and what is mounted where with which restrictions. */
const factsOf = (said: string) => {
  const lines = said.split('\n')
  const starting = (kind: string) =>
    lines.flatMap((line) => (line.startsWith(`${kind} `) ? [line.slice(kind.length + 1)] : []))
  const namespaces = starting('namespace').map((line) => {
    const [kind = '', link] = line.split(' ')
    return `namespace ${kind} ${link === readlinkSync(`/proc/self/ns/${kind}`) ? "the host's" : 'its own'}`
  })
  const plain = kinds.flatMap((kind) => starting(kind).map((line) => `${kind} ${line}`))
  const mounts = new Map(
    parseMountTable(starting('mountinfo').join('\n')).map(({ mountPoint, fsType, options }) => [
      mountPoint,
      { fsType, restrictions: options.filter((option) => /^(ro|no(suid|dev|exec))$/.test(option)) },
    ]),
  )
  return { plain: [...plain, ...namespaces].toSorted(), mounts }
}

for (const runtime of ['crun', 'runc'])
  test(`${runtime} makes the same container of the same root and flags, with no mount more restricted`, async (t) => {
    await using host = await namespaceHost()
    await cp(program, join(host.rootfs, 'bin/attack'))
    const said = await inRuntime(runtime, host.rootfs, script)
    if ('unavailable' in said) {
      t.log(said.unavailable)
      t.pass(`${runtime} cannot run here`)
      return
    }
    await host.make('x', { args: ['sh', '-c', script], userNamespace: null })
    t.is(await host.exitCode('x'), 0)
    const [ours, theirs] = [factsOf(host.output('x')), factsOf(said.said)]
    t.true(ours.plain.length > 80)
    // crun alone adds a link to what is masked.
    t.deepEqual(
      ours.plain,
      theirs.plain.filter((fact) => !fact.startsWith('node /dev/core ')),
    )
    for (const [point, { fsType, restrictions }] of theirs.mounts) {
      const mine = ours.mounts.get(point)
      t.truthy(mine, point)
      t.deepEqual(
        restrictions.filter((one) => !mine?.restrictions.includes(one)),
        [],
        point,
      )
      // Their masks of files are the host's /dev/null (CVE-2025-31133).
      if (mine?.fsType !== 'tmpfs') t.is(mine?.fsType, fsType, point)
    }
    t.deepEqual([...ours.mounts.keys()].filter((point) => !theirs.mounts.has(point)).toSorted(), [
      '/etc/hostname',
      '/etc/hosts',
      '/etc/resolv.conf',
    ])
  })

import { readFileSync, readlinkSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { run } from '../../shared/recorder.ts'
import { type ContainerClient, containerClient, containerFor } from '../helpers/container-client.ts'
import * as kernel from '../helpers/kernel-facts.ts'
import { type Stack, startStack } from '../helpers/stack.ts'
import { attackProgram } from './attack-program.ts'

let stack: Stack
let client: ContainerClient
let program: string

test.before(async () => {
  stack = await startStack()
  program = await attackProgram()
  client = await containerClient(stack.config)
})
test.after.always(async () => {
  await client?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
})

const sh = async (id: string, script: string): Promise<string> =>
  (await client.exec(id, ['sh', '-c', script])).output
const lines = async (id: string, script: string): Promise<string[]> =>
  (await sh(id, script)).trim().split('\n')
const arm = (id: string) => cp(program, join(stack.config.names.rootfs(id), 'bin/attack'))

test('the network namespace belongs to the user namespace of its container and of no other', async (t) => {
  const [one, other] = await Promise.all([containerFor(t, client), containerFor(t, client)])
  // Root of the host is none any more once it has entered the user namespace of one of them.
  const enter = (user: typeof one, net: typeof one) => {
    const inside = ['nsenter', `--net=/proc/self/fd/9`, 'true']
    const words = ['-c', 'user=$1 net=$2; shift 2; exec 9< "$net"; exec nsenter --user="$user" -- "$@"', 'sh']
    return run('sh', [...words, `/proc/${user.pid}/ns/user`, `/proc/${net.pid}/ns/net`, ...inside])
  }
  await t.notThrowsAsync(enter(one, one))
  await t.throwsAsync(enter(other, one), { message: /not permitted/ })
})

test('it sees its own cgroup as the root, may change nothing in it, and has a limit of 2048 processes', async (t) => {
  const { id, pid = 0 } = await containerFor(t, client)
  const own = await lines(id, 'cut -d: -f3 /proc/self/cgroup | sort -u')
  t.deepEqual(own, ['/'])
  const said = await lines(
    id,
    'for d in /sys/fs/cgroup /sys/fs/cgroup/*; do [ -d $d ] && mkdir $d/x; for f in $d/cgroup.procs $d/tasks $d/memory.max $d/pids.max $d/release_agent; do [ -e $f ] && (echo 0 > $f); done; done 2>&1',
  )
  t.true(said.length > 2)
  for (const line of said) t.regex(line, /Read-only file system/, line)
  t.is(await kernel.cgroupFile(pid, 'pids', { v1: 'pids.max', v2: 'pids.max' }), '2048')
})

test('with SYS_ADMIN of its own it still reaches no release agent and no limit (CVE-2022-0492)', async (t) => {
  const { id, pid = 0 } = await containerFor(t, client, {
    cap_add: ['SYS_ADMIN', 'DAC_OVERRIDE'],
    mem_limit: '64M',
    pids_limit: 100,
  })
  const limits = () =>
    Promise.all([
      kernel.cgroupFile(pid, 'pids', { v1: 'pids.max', v2: 'pids.max' }),
      kernel.cgroupFile(pid, 'memory', { v1: 'memory.limit_in_bytes', v2: 'memory.max' }),
    ])
  const before = await limits()
  const controllers = 'pids memory devices freezer cpu rdma none,name=escape'.split(' ')
  const agents = () =>
    ['pids', 'memory', 'devices', 'rdma'].map((name) => {
      try {
        return readFileSync(`/sys/fs/cgroup/${name}/release_agent`, 'utf8')
      } catch {
        return undefined
      }
    })
  const agentsBefore = agents()
  const tries = [
    'mkdir -p /mnt/c; cd /mnt',
    `for o in ${controllers.join(' ')}; do mount -t cgroup -o $o cgroup /mnt/c 2>/dev/null || continue; mkdir /mnt/c/x; for f in release_agent x/release_agent; do echo /bin/sh > /mnt/c/$f && echo wrote $f; done; for f in pids.max memory.limit_in_bytes devices.allow; do [ -e /mnt/c/$f ] && echo max > /mnt/c/$f && echo wrote $f; done; umount /mnt/c; done 2>/dev/null`,
    'mount -t cgroup2 cgroup /mnt/c 2>/dev/null && for f in pids.max memory.max cgroup.procs; do [ -e /mnt/c/$f ] && (echo max > /mnt/c/$f) 2>/dev/null && echo wrote $f; done',
    'for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mount -o remount,rw $d 2>/dev/null; for f in pids.max memory.limit_in_bytes memory.max devices.allow; do [ -e $d/$f ] && (echo max > $d/$f) 2>/dev/null && echo wrote $d/$f; done; done',
    'true',
  ]
  t.is(await sh(id, tries.join('\n')), '')
  t.deepEqual(await limits(), before)
  t.deepEqual(agents(), agentsBefore)
})

test('what waits to become its command is not to be looked into', async (t) => {
  const { id } = await containerFor(t, client, { cap_add: ['SYS_PTRACE'] })
  await ask(client.bus, verbs.containerExec, { container: id, args: ['true'] })
  const look = [
    'for p in /proc/[0-9]*; do case "$(cat $p/comm 2>/dev/null)" in dolly-init*)',
    'echo found; ls $p/fd >/dev/null 2>&1 && echo fds; cat $p/maps 2>/dev/null | head -n 1; cat $p/environ 2>/dev/null;',
    '(: < $p/mem) 2>/dev/null && echo memory; readlink $p/exe; readlink $p/root; (: >> $p/exe) 2>/dev/null && echo wrote;;',
    'esac; done',
  ]
  t.deepEqual(await lines(id, look.join('\n')), ['found'])
})

test('sysctls are its own namespaces’, and the host keeps its values', async (t) => {
  const settings = { 'net.ipv4.ip_default_ttl': '77', 'kernel.msgmax': '4321', 'fs.mqueue.msg_max': '7' }
  const paths = Object.keys(settings).map((key) => `/proc/sys/${key.replaceAll('.', '/')}`)
  const before = paths.map((path) => readFileSync(path, 'utf8'))
  const { id } = await containerFor(t, client, { sysctls: settings })
  t.deepEqual(await lines(id, `cat ${paths.join(' ')}`), Object.values(settings))
  t.deepEqual(
    paths.map((path) => readFileSync(path, 'utf8')),
    before,
  )
  for (const key of [
    'kernel.core_pattern',
    'vm.overcommit_memory',
    'net/../kernel.core_pattern',
    'fs.file-max',
  ]) {
    const { data, type } = await client.tryCreate({ image: 'busybox', sysctls: { [key]: '1' } })
    t.not(type, 'container.running', key)
    t.is(data['code'], 'not_permitted', key)
  }
})

test('shared memory and tmpfs end where they say, read_only leaves nothing else to write to', async (t) => {
  const { id } = await containerFor(t, client, {
    read_only: true,
    shm_size: '1M',
    tmpfs: ['/scratch:size=1m,nr_inodes=10'],
  })
  const fill = (path: string) => sh(id, `dd if=/dev/zero of=${path} bs=64k count=64 2>&1`)
  for (const path of ['/dev/shm/fill', '/scratch/fill']) t.regex(await fill(path), /No space left/, path)
  t.regex(
    await sh(id, 'rm /scratch/fill; for n in $(seq 20); do : > /scratch/$n; done 2>&1'),
    /No space left/,
  )
  const places = [
    '/x',
    '/etc/x',
    '/bin/busybox',
    '/root/x',
    '/tmp/x',
    '/var/x',
    '/sys/x',
    '/proc/sys/kernel/hostname',
  ]
  for (const path of places)
    t.regex(
      await sh(id, `(: > ${path}) 2>&1`),
      /Read-only|nonexistent directory|No such file|denied|busy/,
      path,
    )
  const nodes = 'fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero'
  t.deepEqual(await lines(id, 'ls /dev'), nodes.split(' '))
})

test('one that fills its shared memory pays for it with its own limit, and is ended alone', async (t) => {
  const neighbour = await containerFor(t, client)
  const { id } = await containerFor(t, client, {
    command: ['sh', '-c', 'cat /dev/zero > /dev/shm/fill'],
    shm_size: '1G',
    mem_limit: '32M',
    memswap_limit: '32M',
  })
  const { data } = await client.exited(id)
  t.like(data, { exitCode: 137, oomKilled: true })
  t.is((await client.get(neighbour.id)).pid, neighbour.pid)
})

test('an exec with a terminal is not given one that the container has put in its place', async (t) => {
  const { id } = await containerFor(t, client, { cap_add: ['SYS_ADMIN'] })
  await arm(id)
  await sh(id, 'mount -t tmpfs fake /dev/pts && ln -s /dev/tty /dev/pts/ptmx')
  const terminal = { container: id, args: ['true'], terminal: true }
  await t.throwsAsync(ask(client.bus, verbs.containerExec, terminal), { message: /ELOOP|symbolic/ })
  await sh(id, 'rm /dev/pts/ptmx; mkfifo /dev/pts/ptmx')
  await t.throwsAsync(ask(client.bus, verbs.containerExec, terminal), {
    message: /not a terminal multiplexer/,
  })
  t.is((await client.get(id)).status, 'running')
})

test('nothing of it is the host’s: seven namespaces and its session', async (t) => {
  const { id, pid } = await containerFor(t, client)
  for (const kind of ['user', 'pid', 'mnt', 'uts', 'ipc', 'net', 'cgroup'])
    t.not(readlinkSync(`/proc/${pid}/ns/${kind}`), readlinkSync(`/proc/self/ns/${kind}`), kind)
  const [, group, session] = /\) \S \d+ (\d+) (\d+)/.exec(await sh(id, 'cat /proc/1/stat')) ?? []
  t.deepEqual([group, session], ['1', '1'], 'kill(0) and the terminal of whoever made it are out of reach')
})

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { waitFor } from '../../services/namespace/bounded-wait.ts'
import { namespaceHost } from './namespace-host.ts'

const inode = (pid: number | 'self', kind: string) => readlinkSync(`/proc/${pid}/ns/${kind}`)
const shell = (script: string) => ({ args: ['sh', '-c', script] })

test('init has namespaces of its own, waits when told to, and is pid 1', async (t) => {
  await using host = await namespaceHost()
  const { pid } = await host.make('a', { ...shell('echo $$; hostname'), start: false })
  t.like(await host.state('a'), { status: 'created', pid })
  t.is(host.output('a'), '')
  for (const kind of ['pid', 'mnt', 'uts', 'ipc', 'cgroup'])
    t.not(inode(pid, kind), inode('self', kind), kind)
  t.is(inode(pid, 'net'), inode('self', 'net'))
  await host.send('start', { id: 'a' })
  t.is(await host.exitCode('a'), 0)
  t.is(host.output('a'), '1\ndolly\n')
})

test('exit codes are exact', async (t) => {
  await using host = await namespaceHost()
  for (const code of [0, 1, 7, 126, 127, 143, 255]) {
    await host.make(`c${code}`, shell(`exit ${code}`))
    t.is(await host.exitCode(`c${code}`), code)
  }
  await host.make('killed')
  t.like(await host.send('kill', { id: 'killed', signal: 'SIGKILL' }), {
    status: 'stopped',
    exitCode: 137,
    oomKilled: false,
  })
  await host.make('terminated', shell('trap "exit 143" TERM; echo ready; while :; do sleep 0.01; done'))
  while (!host.output('terminated')) await host.state('terminated')
  t.like(await host.send('stop', { id: 'terminated', graceMs: 5000 }), { status: 'stopped', exitCode: 143 })
})

test('a command that cannot run is refused before anything is left behind', async (t) => {
  await using host = await namespaceHost()
  const refused = async (args: string[], code: string, exitCode: number) => {
    const error = await t.throwsAsync<Error & { details: object }>(host.make('x', { args }), {
      code,
    })
    t.like(error?.details, { exitCode })
    t.regex(error?.message ?? '', new RegExp(`^cannot run "${args[0]}" in container x: `))
    t.deepEqual(await readdir(host.config.names.bundles), [])
    t.deepEqual(await readdir(host.config.names.exits), [])
  }
  await refused(['fly'], 'command_not_found', 127)
  await refused(['/bin/fly'], 'command_not_found', 127)
  await refused(['/etc/not-executable'], 'command_not_executable', 126)
  await refused(['/etc'], 'command_not_executable', 126)
})

test('a file that is no program ends the container with 126, said in its log', async (t) => {
  await using host = await namespaceHost()
  await host.make('x', { args: ['not-a-program'] })
  t.is(await host.exitCode('x'), 126)
  t.regex(host.output('x'), /cannot exec not-a-program: Exec format error/)
  await writeFile(join(host.rootfs, 'bin/lost'), '#!/no/such/interpreter\n', { mode: 0o755 })
  await host.make('y', { args: ['lost'] })
  t.is(await host.exitCode('y'), 127)
})

test('refused limits, users and sysctls name what and where', async (t) => {
  await using host = await namespaceHost()
  const refused = (process: Record<string, unknown>, rest: object, expected: object) =>
    t.throwsAsync(host.make('x', { process: process, ...rest }), expected)
  const limit = (type: string, hard: number) => ({ rlimits: [{ type, soft: hard, hard }] })
  await refused(
    limit('RLIMIT_NOFILE', 2 ** 30),
    {},
    { code: 'limit_refused', message: /limit nofile to 1073741824.*container x/ },
  )
  await refused(limit('RLIMIT_FLY', 1), {}, { code: 'limit_refused', message: /there is no such limit/ })
  await refused(
    { user: 'nobody-here' },
    {},
    { code: 'not_found', message: /become user "nobody-here" in container x/ },
  )
  await refused({ user: 'ada:nogroup' }, {}, { message: /no group "nogroup"/ })
  await refused(
    {},
    { sysctls: { 'kernel.shmmax': 'many' } },
    { code: 'limit_refused', message: /write "many"/ },
  )
  await host.make('fine', { process: limit('RLIMIT_NOFILE', 256) })
  t.regex(
    readFileSync(`/proc/${(await host.state('fine')).pid}/limits`, 'utf8'),
    /Max open files\s+256\s+256/,
  )
})

test('users and groups come from the container’s own files', async (t) => {
  await using host = await namespaceHost()
  const seen = async (user: string) => {
    const id = `u${user.replaceAll(':', '_')}`
    await host.make(id, {
      ...shell('id -u; id -g; id -G; echo $HOME; grep Cap /proc/self/status | head -5'),
      process: { user },
    })
    t.is(await host.exitCode(id), 0)
    return host.output(id).split('\n').slice(0, 4).join(' ')
  }
  await writeFile(join(host.rootfs, 'bin/grep'), '#!/bin/sh\n', { mode: 0o755 })
  t.is(await seen(''), '0 0 0 2000 /root')
  t.is(await seen('ada'), '1000 1001 1001 2000 /home/ada')
  t.is(await seen('1000'), '1000 1001 1001 2000 /home/ada')
  t.is(await seen('ada:math'), '1000 2000 2000 /home/ada')
  t.is(await seen('5000'), '5000 0 0 /')
  t.is(await seen('5000:6000'), '5000 6000 6000 /')
})

const status = (pid: unknown, field: string) =>
  new RegExp(`^${field}:\\s+(\\S+)`, 'm').exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1]

test('capabilities are those of the plan, and none for another user than root', async (t) => {
  await using host = await namespaceHost()
  const root = await host.make('root')
  const ada = await host.make('ada', { process: { user: 'ada' } })
  await waitFor(() => readlinkSync(`/proc/${ada.pid}/exe`).startsWith('/bin') || undefined, 5000)
  for (const set of ['CapPrm', 'CapEff', 'CapBnd']) t.is(status(root.pid, set), '00000000800405fb')
  t.deepEqual(
    ['CapPrm', 'CapEff', 'CapAmb', 'CapInh'].map((set) => status(ada.pid, set)),
    Array(4).fill('0000000000000000'),
  )
  t.is(status(ada.pid, 'CapBnd'), '00000000800405fb')
  t.is(status(root.pid, 'NoNewPrivs'), '1')
  t.is(status(root.pid, 'Umask'), '0022')
})

test('the old root leaves no trace, and only three descriptors are open', async (t) => {
  await using host = await namespaceHost()
  const { pid } = await host.make('x', {})
  await waitFor(() => readlinkSync(`/proc/${pid}/exe`).startsWith('/bin') || undefined, 5000)
  const mounts = readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
  t.notRegex(mounts, /cgroup2? rw|\/old|devtmpfs/)
  t.deepEqual(
    mounts
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[4])
      .filter((point) => !/^\/(proc|dev|sys|etc)/.test(point ?? '')),
    ['/'],
  )
  t.is(statSync(`/proc/${pid}/root/.`).ino, statSync(host.rootfs).ino)
  t.deepEqual(await readdir(`/proc/${pid}/fd`), ['0', '1', '2'])
  t.is(status(pid, 'SigIgn'), '0000000000000000')
  t.is(status(pid, 'SigBlk'), '0000000000000000')
})

test('read-only root, tmpfs, shared memory, hosts and resolver are as asked', async (t) => {
  await using host = await namespaceHost()
  await host.make('x', {
    ...shell(
      'touch /a 2>&1; echo full > /etc/hosts; touch /run/b && echo wrote; mount; cat /etc/hosts /etc/resolv.conf /etc/hostname; pwd',
    ),
    readonlyRootfs: true,
    tmpfs: ['/run:size=1m'],
    address: '10.1.2.3/24',
    extraHosts: ['db:10.1.2.4'],
    search: ['example'],
    process: { cwd: '/made/for/it' },
  })
  t.is(await host.exitCode('x'), 0)
  const said = host.output('x')
  for (const part of [
    'touch: /a: Read-only file system',
    "can't create /etc/hosts: Read-only file system",
    'wrote',
    'tmpfs on /run type tmpfs (rw,nosuid,nodev,noexec,relatime,size=1024k',
    '10.1.2.3\tdolly',
    '10.1.2.4\tdb',
    'search example\nnameserver 192.0.2.53',
    '\ndolly\n',
    '/made/for/it',
  ]) {
    t.true(said.includes(part), `${part} in\n${said}`)
  }
})

test('links planted in the image lead nowhere outside, or are refused', async (t) => {
  await using host = await namespaceHost()
  const victim = join(host.config.root, 'victim')
  await writeFile(victim, 'untouched')
  const etc = (name: string) => join(host.rootfs, 'etc', name)
  await symlink(`../../../../../..${victim}`, etc('resolv.conf'))
  await symlink('/run/absent/deep/hosts', etc('hosts'))
  await symlink('/proc/self/fd/1', etc('hostname'))
  const error = await t.throwsAsync(host.make('magic'))
  t.regex(error?.message ?? '', /hostname.*ELOOP/)
  await rm(etc('hostname'))
  await host.make('x', shell('cat /etc/resolv.conf; cat /etc/hosts'))
  t.is(await host.exitCode('x'), 0)
  t.regex(host.output('x'), /nameserver 192\.0\.2\.53\n127\.0\.0\.1\tlocalhost/)
  t.is(readFileSync(victim, 'utf8'), 'untouched')
  t.true(existsSync(join(host.rootfs, 'run/absent/deep/hosts')))
  for (const name of ['proc', 'dev', 'sys']) {
    await rm(join(host.rootfs, name), { recursive: true })
    await symlink('/etc', join(host.rootfs, name))
    const refused = await t.throwsAsync(host.make('linked'), { code: 'system' })
    t.regex(refused?.message ?? '', new RegExp(`a symbolic link is in the way of /${name}`))
    await rm(join(host.rootfs, name))
    await mkdir(join(host.rootfs, name))
  }
})

test('a directory or a FIFO in place of /etc/passwd blocks nothing', async (t) => {
  await using host = await namespaceHost()
  const passwd = join(host.rootfs, 'etc/passwd')
  await rm(passwd)
  await mkdir(passwd)
  execFileSync('mkfifo', [join(host.rootfs, 'etc/pipe')])
  await rm(join(host.rootfs, 'etc/group'))
  await symlink('pipe', join(host.rootfs, 'etc/group'))
  await host.make('x', shell('echo $HOME'))
  t.is(await host.exitCode('x'), 0)
  t.is(host.output('x'), '/\n')
})

test('the program of the host cannot be reached through /proc/1/exe while init waits', async (t) => {
  await using host = await namespaceHost()
  const { pid } = await host.make('x', { start: false })
  t.is(readlinkSync(`/proc/${pid}/exe`), '/memfd:dolly-init (deleted)')
  const error = await t.throwsAsync<NodeJS.ErrnoException>(writeFile(`/proc/${pid}/exe`, 'x', { flag: 'r+' }))
  t.regex(error?.code ?? '', /ETXTBSY|EPERM/)
})

import { execFileSync, spawnSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type Entry, tarOf } from '../storage/tar-builder.ts'
import { type Stack, startStack } from '../helpers/stack.ts'
import { type Dolly, dollyOf } from './dolly.ts'

let stack: Stack
let dolly: Dolly

test.before(async () => {
  stack = await startStack()
  dolly = dollyOf(stack)
  await dolly([
    'run',
    '-d',
    '-q',
    '--name',
    'runs',
    '--tmpfs',
    '/scratch',
    '-v',
    'data:/data',
    'busybox',
    'sleep',
    '10000',
  ])
  await dolly(['create', '-q', '--name', 'rests', 'busybox', 'sh', '-c', 'cat /etc/greeting'])
  await dolly(['run', '-q', '--name', 'ended', 'busybox', 'sh', '-c', 'echo kept > /root/kept'])
})
test.after.always(() => stack?.[Symbol.asyncDispose]())

const program = ['services/cli/main.ts']

const directory = (t: ExecutionContext): string => {
  const path = mkdtempSync(join(tmpdir(), 'dolly-test-cp-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}
const inside = async (script: string): Promise<string> =>
  (await dolly(['exec', 'runs', 'sh', '-c', script])).stdout
const cp = async (t: ExecutionContext, ...args: string[]): Promise<void> => {
  const { exitCode, stderr } = await dolly(['cp', ...args])
  t.is(exitCode, 0, stderr)
}
const refused = async (t: ExecutionContext, reason: RegExp, ...args: string[]): Promise<void> => {
  const { exitCode, stderr } = await dolly(['cp', ...args])
  t.is(exitCode, 1)
  t.regex(stderr, /^dolly: cannot copy\b[^\n]*$/)
  t.regex(stderr, reason)
}

test('a file goes in and out by docker cp’s rules, also through a volume and a tmpfs', async (t) => {
  const local = directory(t)
  writeFileSync(join(local, 'one'), 'one\n', { mode: 0o640 })
  await cp(t, join(local, 'one'), 'runs:/root')
  await cp(t, join(local, 'one'), 'runs:/root/two')
  await cp(t, join(local, 'one'), 'runs:/data/')
  await cp(t, join(local, 'one'), 'runs:/scratch/')
  t.is(
    await inside('cd /root && stat -c "%n %a %u:%g" one two /data/one /scratch/one && cat two'),
    'one 640 0:0\ntwo 640 0:0\n/data/one 640 0:0\n/scratch/one 640 0:0\none',
  )
  writeFileSync(join(local, 'one'), 'more\n')
  await cp(t, '-q', join(local, 'one'), 'runs:/root/two')
  t.is(await inside('cat /root/two; ls /root'), 'more\none\ntwo')
  await cp(t, 'runs:/root/two', join(local, 'back'))
  t.is(readFileSync(join(local, 'back'), 'utf8'), 'more\n')
  await cp(t, 'runs:/root/one', local)
  t.is(readFileSync(join(local, 'one'), 'utf8'), 'one\n')
  await refused(t, /no such file or directory/, 'runs:/root/three', local)
  await refused(t, /no such directory/, join(local, 'one'), 'runs:/nowhere/')
  await refused(t, /ENOENT/, join(local, 'absent'), 'runs:/root')
  await refused(t, /there is no directory/, 'runs:/root/one', join(local, 'nowhere/'))
  await refused(t, /no such container: nobody/, 'nobody:/etc', local)
  await refused(t, /neither of the two is in a container/, '/a', '/b')
})

test('a directory is made, or goes into the one that is there, or only its content does', async (t) => {
  const local = directory(t)
  mkdirSync(join(local, 'tree/deep'), { recursive: true })
  writeFileSync(join(local, 'tree/deep/leaf'), 'leaf')
  symlinkSync('deep/leaf', join(local, 'tree/link'))
  await cp(t, join(local, 'tree'), 'runs:/opt')
  await cp(t, join(local, 'tree'), 'runs:/opt')
  await cp(t, `${join(local, 'tree')}/.`, 'runs:/opt')
  const found = (await inside('cd /opt && find . | sort; readlink link')).split('\n')
  t.deepEqual(found, [
    '.',
    './deep',
    './deep/leaf',
    './link',
    './tree',
    './tree/deep',
    './tree/deep/leaf',
    './tree/link',
    'deep/leaf',
  ])
  await cp(t, 'runs:/opt/tree', join(local, 'new'))
  await cp(t, 'runs:/opt/tree', join(local, 'new'))
  await cp(t, 'runs:/opt/tree/.', local)
  for (const path of ['new', 'new/tree', '.'])
    t.is(readFileSync(join(local, path, 'deep/leaf'), 'utf8'), 'leaf', path)
  t.is(readlinkSync(join(local, 'new/link')), 'deep/leaf')
  await cp(t, '-L', 'runs:/opt/link', join(local, 'followed'))
  t.true(lstatSync(join(local, 'followed')).isFile())
  await refused(t, /cannot copy a directory to a file/, join(local, 'tree'), 'runs:/opt/deep/leaf')
})

test('tars come and go by -, and -a keeps owners', async (t) => {
  const local = directory(t)
  await inside(
    'mkdir -p /home/own && echo x > /home/own/file && chown -R 1234:5678 /home/own && mkdir /home/again',
  )
  const tar = execFileSync(process.execPath, [...program, 'cp', 'runs:/home/own', '-'], {
    env: { ...process.env, ...stack.env },
  })
  writeFileSync(join(local, 'tar'), tar)
  t.regex(execFileSync('tar', ['-tvf', join(local, 'tar')], { encoding: 'utf8' }), /1234\/5678.*own\/file/)
  execFileSync(process.execPath, [...program, 'cp', '-', 'runs:/home/again'], {
    env: { ...process.env, ...stack.env },
    input: tar,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  t.is(await inside('stat -c %u:%g /home/again/own/file'), '1234:5678')
  await cp(t, '-a', 'runs:/home/own', join(local, 'kept'))
  await cp(t, 'runs:/home/own', join(local, 'mine'))
  t.is(statSync(join(local, 'kept/file')).uid, 1234)
  t.is(statSync(join(local, 'mine/file')).uid, process.getuid?.() ?? 0)
})

test('a container that does not run is copied to and from as well, and its limits hold', async (t) => {
  const local = directory(t)
  writeFileSync(join(local, 'greeting'), 'hello')
  await cp(t, join(local, 'greeting'), 'rests:/etc/greeting')
  t.is((await dolly(['start', '-a', 'rests'])).stdout, 'hello')
  await cp(t, 'ended:/root/kept', local)
  t.is(readFileSync(join(local, 'kept'), 'utf8'), 'kept\n')
  const small = ['--name', 'small', 'busybox', 'sleep', '10000']
  const { exitCode, stderr } = await dolly(['run', '-d', '-q', '--storage-opt', 'size=32m', ...small])
  if (exitCode === 0) {
    execFileSync('dd', ['if=/dev/urandom', `of=${join(local, 'big')}`, 'bs=1M', 'count=64', 'status=none'])
    await refused(t, /Disk quota exceeded|No space left/, join(local, 'big'), 'small:/root/')
  } else {
    t.regex(stderr, /this host has no simple quotas of btrfs/)
    await dolly(['run', '-d', '-q', ...small])
  }
  await dolly(['pause', 'small'])
  await refused(t, /it is paused/, join(local, 'greeting'), 'small:/root/')
  await dolly(['unpause', 'small'])
})

test('no link, device or set-uid program of a container reaches this host by a copy', async (t) => {
  const local = directory(t)
  writeFileSync(join(local, 'secret'), 'secret')
  await inside(
    `mkdir /home/odd && cd /home/odd && ln -s ${local} out && ln -s ../../../../${local}/secret up && cp /bin/busybox suid && chmod 4755 suid && mkfifo pipe`,
  )
  await cp(t, 'runs:/home/odd', join(local, 'odd'))
  t.is(readlinkSync(join(local, 'odd/out')), local, 'a link is only a link')
  t.is(statSync(join(local, 'odd/suid')).mode & 0o6000, 0)
  // What the link leads to is looked for inside, where it is not.
  await refused(
    t,
    /no such file or directory|not found|No such/,
    '-L',
    'runs:/home/odd/up',
    join(local, 'up'),
  )
  await refused(t, /no such file or directory/, `runs:/home/odd/out/secret`, join(local, 'stolen'))
  writeFileSync(join(local, 'new'), 'new')
  await refused(t, /no such directory/, join(local, 'new'), 'runs:/home/odd/out/')
  t.is(readFileSync(join(local, 'secret'), 'utf8'), 'secret')
  t.false(existsSync(join(local, 'stolen')))
})

test('a hostile tar can do inside what the container can, and nothing outside', async (t) => {
  const outside = directory(t)
  await inside('mkdir -p /home/in')
  const attacks: Entry[][] = [
    [{ name: `${outside}/absolute`, body: 'x' }],
    [{ name: '../../../../../../up', body: 'x' }],
    [
      { name: 'way', type: '2', link: outside },
      { name: 'way/through', body: 'x' },
    ],
  ]
  for (const [number, attack] of attacks.entries()) {
    const { status } = spawnSync(process.execPath, [...program, 'cp', '-', 'runs:/home/in'], {
      env: { ...process.env, ...stack.env },
      input: tarOf([{ name: `before-${number}`, body: 'x' }, ...attack]),
    })
    t.true(status === 0 || status === 1)
  }
  t.is(await inside('ls -d /home/in/before-*'), '/home/in/before-0\n/home/in/before-1\n/home/in/before-2')
  for (const path of [join(outside, 'absolute'), join(outside, 'through'), '/up'])
    t.false(existsSync(path), path)
})

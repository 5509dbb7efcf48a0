import { readFileSync, readdirSync } from 'node:fs'
import { chmod, cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { ulid } from 'ulid'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { run } from '../../shared/recorder.ts'
import { type ContainerClient, containerClient, containerFor } from '../helpers/container-client.ts'
import * as kernel from '../helpers/kernel-facts.ts'
import { type Stack, startStack } from '../helpers/stack.ts'
import { namespaceHost } from '../namespace/namespace-host.ts'
import { attackProgram } from './attack-program.ts'

let stack: Stack
let client: ContainerClient
let program: string

test.before(async () => {
  stack = await startStack({ DOLLY_ROOT_SIZE: '64M' })
  program = await attackProgram()
  client = await containerClient(stack.config)
})
test.after.always(async () => {
  await client?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
})

const sh = async (id: string, script: string): Promise<string> =>
  (await client.exec(id, ['sh', '-c', script])).output
/** A volume with the program in it that tries what a container may not. */
const armedVolume = async (name: string): Promise<string> => {
  await ask(client.bus, verbs.volumeCreate, { name })
  await cp(program, join(stack.config.names.volume(name), 'attack'))
  return `${name}:/data`
}

test('a set-uid program of one container is an ordinary one for another, and out of reach on the host', async (t) => {
  const shared = {
    volumes: ['suid:/data'],
    security_opt: ['no-new-privileges:false'],
    userns_mode: 'host',
  }
  const maker = await containerFor(t, client, shared)
  await sh(maker.id, 'cp /bin/busybox /data/busybox && chmod 4755 /data/busybox /data')
  const [victim, same] = await Promise.all([
    containerFor(t, client, { ...shared, user: '1000' }),
    containerFor(t, client, { ...shared, user: '1000', userns_mode: 'auto' }),
  ])
  for (const { id } of [victim, same])
    t.is(await sh(id, 'ls -l /data/busybox | cut -c1-4; /data/busybox id -u'), '-rws\n1000\n')
  const file = join(stack.config.names.volume('suid'), 'busybox')
  await t.throwsAsync(
    run('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'head', '-c1', file]),
    {
      message: /Permission denied/,
    },
  )
})

test('a device node in a volume is dead for everyone', async (t) => {
  const volumes = [await armedVolume('nodes')]
  const made = await containerFor(t, client, { volumes, cap_add: ['MKNOD'] })
  t.is(await sh(made.id, '/data/attack mknod /data/raw 7 0'), 'EPERM\n')
  // The host leaves one there, as a container of its own user namespace could.
  await run('mknod', [join(stack.config.names.volume('nodes'), 'null'), 'c', '1', '3'])
  for (const userns_mode of ['auto', 'host']) {
    const { id } = await containerFor(t, client, { volumes, userns_mode })
    t.is(await sh(id, '/data/attack open /data/null 0'), 'EACCES\n', userns_mode)
  }
})

test('a link in a volume leads each container into itself, and a removal of the volume nowhere', async (t) => {
  const victim = join(stack.config.root, 'victim')
  await mkdir(victim)
  await writeFile(join(victim, 'file'), 'host')
  const volumes = ['links:/data']
  const planter = await containerFor(t, client, { volumes })
  await sh(
    planter.id,
    `ln -s /etc/shadow /data/shadow; ln -s ${victim} /data/out; ln -s ../../../../../..${victim} /data/up`,
  )
  const reader = await containerFor(t, client, { volumes, userns_mode: 'host' })
  t.regex(
    await sh(reader.id, `cat /data/shadow /data/out/file /data/up/file`),
    /^(cat: .*No such file.*\n){3}$/,
  )
  // Its place leads through the other's links: inside the container all the same.
  const nested = await containerFor(t, client, { volumes: [...volumes, 'inner:/data/out'] })
  const points = (await kernel.mountsOf(nested.pid ?? 0)).map(({ mountPoint }) => mountPoint)
  t.true(points.includes(victim), points.join(' '))
  await sh(nested.id, 'touch /data/out/planted')
  for (const { id } of [planter, reader, nested]) await client.remove(id)
  for (const name of ['links', 'inner']) await ask(client.bus, verbs.volumeRemove, { name })
  t.deepEqual(readdirSync(victim), ['file'])
})

test('whoever renames the parents of a mount’s place meanwhile moves it nowhere else', async (t) => {
  const racer = await containerFor(t, client, {
    volumes: ['race:/data'],
    command: [
      'sh',
      '-c',
      'mkdir -p /data/a/b; ln -s ../../../../../.. /data/up; while :; do mv -T /data/a /data/c; mv -T /data/up /data/a; mv -T /data/a /data/up; mv -T /data/c /data/a; done',
    ],
  })
  const before = readFileSync('/proc/self/mountinfo', 'utf8')
  for (let round = 0; round < 12; round++) {
    const id = ulid()
    t.teardown(() => client.tryDelete({ id }))
    const outcome = await client.tryCreate({
      id,
      image: 'busybox',
      command: ['sleep', '1000'],
      network_mode: 'none',
      volumes: ['race:/data', 'racing:/data/a/b'],
    })
    if (outcome.type === 'container.running') {
      const { pid = 0 } = await client.get(id)
      const inner = (await kernel.mountsOf(pid)).filter(({ root }) => root.endsWith('/volumes/racing'))
      t.is(inner.length, 1)
      t.regex(inner[0]?.mountPoint ?? '', /^(\/data\/(a|c|up))?\/b$/)
    } else t.regex(String(outcome.data['reason']), /cannot mount at \/data\/a\/b/)
    await client.tryDelete({ id })
  }
  t.is((await client.get(racer.id)).status, 'running')
  const own = (text: string) => text.split('\n').filter((line) => line.includes(stack.config.root))
  t.deepEqual(own(readFileSync('/proc/self/mountinfo', 'utf8')), own(before))
  t.deepEqual(await client.leaks(), [])
})

test('links that the image plants at a volume’s place lead nowhere outside, or are refused', async (t) => {
  await using host = await namespaceHost()
  const volume = join(host.config.root, 'volume')
  await mkdir(volume)
  const wish = {
    mounts: [{ type: 'volume', source: 'v', destination: '/data', options: [] }],
    volumes: { v: volume },
    args: ['sh', '-c', 'touch /data/made; ls /opt'],
  }
  const link = (target: string) => symlink(target, join(host.rootfs, 'data'))
  const unlink = () => run('rm', ['-rf', join(host.rootfs, 'data')])
  for (const [index, target] of ['/opt', '../../../../../../opt'].entries()) {
    await link(target)
    await host.make(`in${index}`, wish)
    t.is(await host.exitCode(`in${index}`), 0)
    t.is(host.output(`in${index}`), 'made\n')
    await unlink()
  }
  for (const target of [
    '/',
    '/proc/sys',
    '/sys',
    '/dev',
    '/dev/pts',
    '/dev/mqueue',
    '/proc/self/cwd',
    '/proc/1/root',
  ]) {
    await link(target)
    await t.throwsAsync(
      host.make('out', wish),
      { message: /cannot mount at \/data in container out: / },
      target,
    )
    await unlink()
  }
  t.deepEqual(readdirSync(volume), ['made'])
})

test('a container cannot leave its quota by subvolumes, and is deleted even if it could', async (t) => {
  const volumes = [await armedVolume('quota')]
  const held = await containerFor(t, client, { volumes })
  const tries = ['/', '/data'].flatMap((where) =>
    [0, 1, 2, 3].map((kind) => `/data/attack subvolume ${where} s${kind} ${kind}`),
  )
  t.is(await sh(held.id, tries.join(';')), 'ENOSYS\n'.repeat(tries.length))
  t.is(await sh(held.id, 'cd /data; ./attack reflink attack copy; ls | wc -l'), 'ok\n2\n', 'copies may share')
  const fill = 'dd if=/dev/zero of=/data/fill bs=1M count=200 2>&1'
  t.regex(await sh(held.id, fill), /quota|No space/i)
  const free = await containerFor(t, client, { volumes, security_opt: ['seccomp=unconfined'] })
  t.is(
    await sh(free.id, 'mkdir /d; /data/attack subvolume /d s 1; /data/attack subvolume /d/s s 1'),
    'ok\nok\n',
  )
  const fillAt = (path: string) => sh(free.id, `dd if=/dev/zero of=${path}/fill bs=1M count=200 2>&1`)
  t.regex(await fillAt('/d/s/s'), /quota|No space/i, 'what is made inside counts too')
  t.is(await sh(free.id, 'rm /data/fill; /data/attack subvolume /data v 1'), 'ok\n')
  t.regex(await fillAt('/data/v'), /quota|No space/i, 'in a volume as well')
  for (const { id } of [held, free]) await client.remove(id)
  await ask(client.bus, verbs.volumeRemove, { name: 'quota' })
  t.deepEqual(await client.leaks(), [])
})

test('a directory that the node allows is not left by links, nor written to where others could run what is left', async (t) => {
  const outside = await mkdtemp(join(tmpdir(), 'dolly-test-labs-'))
  t.teardown(() => rm(outside, { recursive: true, force: true }))
  const labs = join(outside, 'labs')
  await mkdir(join(labs, 'one'), { recursive: true })
  await chmod(labs, 0o700)
  await writeFile(join(outside, 'secret'), 'host')
  await using host = await namespaceHost({ DOLLY_BIND_ALLOW: labs })
  const wish = (path: string, options: string[] = []) => ({
    mounts: [{ type: 'bind', source: join(labs, path), destination: '/data', options }],
  })
  await host.make('planter', {
    ...wish('one'),
    args: ['sh', '-c', `ln -s ${outside} /data/all; ln -s ../../secret /data/up; ln -s . /data/same`],
  })
  t.is(await host.exitCode('planter'), 0)
  for (const path of ['one/all', 'one/up', 'one/all/secret'])
    await t.throwsAsync(host.make('out', wish(path)), { message: /leads out of it/ }, path)
  await host.make('in', { ...wish('one/same'), args: ['ls', '/data'] })
  t.is(await host.exitCode('in'), 0)
  t.is(host.output('in'), 'all\nsame\nup\n')
  await chmod(labs, 0o755)
  await t.throwsAsync(host.make('open', wish('one')), {
    code: 'not_permitted',
    message: /others may enter .*: chmod 700 it, mount it nosuid, or mount it read-only$/,
  })
  await host.make('reader', { ...wish('one', ['ro']), args: ['touch', '/data/new'] })
  t.not(await host.exitCode('reader'), 0)
})

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { waitFor } from '../../services/namespace/bounded-wait.ts'
import { monitorOf } from '../../services/namespace/monitor.ts'
import { objects, release } from '../../shared/contracts/operations.ts'
import { eventually } from '../helpers/stack.ts'
import { cgroupWith, emptied } from './own-cgroup.ts'
import { namespaceHost } from './namespace-host.ts'

const shell = (script: string) => ({ args: ['sh', '-c', script] })

test('a command runs once however often do is repeated, also when it has ended', async (t) => {
  await using host = await namespaceHost()
  const first = await host.make('x', shell('echo ran'))
  await host.exitCode('x')
  t.deepEqual(await host.make('x', shell('echo ran')), first)
  t.is(host.output('x'), 'ran\n')
})

test('a stopped container starts again in the same resources, its log continued', async (t) => {
  await using host = await namespaceHost()
  const first = await host.make('x', shell('echo ran; exit 3'))
  t.is(await host.exitCode('x'), 3)
  const again = (await host.send('start', { id: 'x' })) as { pid: number }
  t.not(again.pid, first.pid)
  t.is(await host.exitCode('x'), 3)
  t.is(host.output('x'), 'ran\nran\n')
  t.deepEqual(
    host.published.map(({ id, type }) => `${id} ${type}`),
    ['x container.exited'],
    'the first exit stands in the log',
  )
})

test('a start that fails keeps what earlier runs have written, and the next one goes on', async (t) => {
  await using host = await namespaceHost()
  const command = join(host.rootfs, 'command')
  const put = () => writeFileSync(command, '#!/bin/sh\necho ran\n', { mode: 0o755 })
  const wish = { args: ['/command'], start: false }
  put()
  await host.make('x', { ...wish, start: true })
  await host.exitCode('x')
  rmSync(command)
  await t.throwsAsync(host.send('start', { id: 'x' }), { code: 'command_not_found' })
  t.is(host.output('x'), 'ran\n')
  await t.throwsAsync(host.make('x', wish), { code: 'command_not_found' })
  t.is(host.output('x'), 'ran\n')
  put()
  await host.make('x', wish)
  await host.send('start', { id: 'x' })
  await host.exitCode('x')
  t.is(host.output('x'), 'ran\nran\n')
  await host.undo('x')
  t.false(existsSync(host.paths('x').directory))
})

test('stop kills after the grace, at once when the command has not begun', async (t) => {
  await using host = await namespaceHost()
  await host.make('deaf')
  t.like(await host.send('stop', { id: 'deaf', graceMs: 20 }), { status: 'stopped', exitCode: 137 })
  t.like(await host.send('stop', { id: 'deaf', graceMs: 20 }), { status: 'stopped', exitCode: 137 })
  await host.make('waiting', { start: false })
  t.like(await host.send('stop', { id: 'waiting', graceMs: 60_000 }), { status: 'stopped' })
  await t.throwsAsync(host.send('kill', { id: 'deaf', signal: 'TERM' }), { code: 'conflict' })
  await t.throwsAsync(host.send('kill', { id: 'absent', signal: 'TERM' }), { code: 'not_found' })
  await t.throwsAsync(host.send('start', { id: 'absent' }), { code: 'not_found' })
  t.deepEqual(await host.send('state', { id: 'absent' }), { status: 'absent' })
})

test('the lab’s order: unshare, start, and stop-now keeps the bundle', async (t) => {
  await using host = await namespaceHost()
  const input = { ...host.input('x'), dns: [], dnsSearch: [] }
  const made = (await host.send('unshare', input)) as { pid: number; startedAt: string }
  const links = execFileSync('nsenter', ['-t', String(made.pid), '-n', 'ip', '-o', 'link'], {
    encoding: 'utf8',
  })
  t.is(links.trim().split('\n').length, 1, 'an empty network namespace has only lo')
  t.like(await host.send('start', { id: 'x', start: false }), { status: 'created' })
  t.like(await host.send('start', { id: 'x', start: true }), { status: 'running', ...made })
  await host.send('stop-now', { id: 'x', start: true })
  t.is((await host.state('x'))['status'], 'stopped')
  t.true(existsSync(host.paths('x').log))
  await host.send('stop-now', { id: 'x', start: true })
})

test('a container outlives the killed service that made it, and its log and exit go on', async (t) => {
  await using host = await namespaceHost()
  const { root, node } = host.config
  const input = host.input(
    'x',
    shell('echo one; while [ ! -e /tmp/go ]; do sleep 0.01; done; echo two; exit 8'),
  )
  const program = fileURLToPath(new URL('fixtures/make-container.ts', import.meta.url))
  const service = spawn(process.execPath, [program, JSON.stringify(input)], {
    env: { ...process.env, DOLLY_ROOT: root, DOLLY_NODE: node },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(service, 'exit')
  const [said] = (await once(service.stdout, 'data')) as [Buffer]
  t.regex(said.toString(), /"pid":\d+/)
  service.kill('SIGKILL')
  await ended
  t.is((await host.state('x'))['status'], 'running')
  writeFileSync(join(host.rootfs, 'tmp/go'), '')
  t.is(await host.exitCode('x'), 8)
  t.is(host.output('x'), 'one\ntwo\n')
})

test('kill(0) in a container does not reach its monitor', async (t) => {
  await using host = await namespaceHost()
  await host.make('x', shell('trap "" TERM; kill -TERM 0; echo alive; sleep 1000; :'))
  await waitFor(() => host.output('x') || undefined, 5000)
  t.is(host.output('x'), 'alive\n')
  t.not(monitorOf(host.paths('x')), undefined)
})

test('a container whose monitor was killed is told, and undone without a trace', async (t) => {
  await using host = await namespaceHost()
  const { pid } = await host.make('x')
  process.kill(monitorOf(host.paths('x')) ?? Number.NaN, 'SIGKILL')
  await waitFor(() => monitorOf(host.paths('x')) === undefined || undefined, 5000)
  t.like(await host.state('x'), { status: 'running', pid })
  t.like(await host.send('kill', { id: 'x', signal: 'KILL' }), { status: 'stopped', exitCode: 255 })
  await host.undo('x')
  t.deepEqual((await host.request(objects.namespace, {})).objects, [])
})

test('objects lists bundles and monitors; release refuses while there are any', async (t) => {
  await using host = await namespaceHost()
  await host.make('x')
  const { objects: found } = await host.request(objects.namespace, {})
  t.deepEqual(
    found.map(({ kind, container }) => [kind, container]),
    [
      ['bundle', 'x'],
      ['monitor', 'x'],
    ],
  )
  await t.throwsAsync(host.request(release.namespace, {}), { code: 'busy', message: /in use by x/ })
})

for (const [version, file, frozen] of [
  ['v1', 'freezer.state', 'FROZEN'],
  ['v2', 'cgroup.freeze', '1'],
] as const) {
  test(`a container that ${version} has frozen is paused, and dies all the same`, async (t) => {
    await using host = await namespaceHost()
    const group = cgroupWith(t, host, file)
    if (group === undefined) return t.pass(`this host has no ${file}`)
    await host.make('x', { cgroupDirectories: [group] })
    writeFileSync(join(group, file), frozen)
    // v2 freezes at the next chance of each task.
    await eventually('it is paused', async () => (await host.state('x'))['status'] === 'paused')
    t.like(await host.send('kill', { id: 'x', signal: 'KILL' }), { status: 'stopped', exitCode: 137 })
    await emptied(group)
    return undefined
  })
}

test('a container that the kernel killed for memory says so, and sees its own limit', async (t) => {
  await using host = await namespaceHost()
  const [seen, file] = existsSync('/sys/fs/cgroup/memory')
    ? ['/sys/fs/cgroup/memory/memory.limit_in_bytes', 'memory.limit_in_bytes']
    : ['/sys/fs/cgroup/memory.max', 'memory.max']
  const group = cgroupWith(t, host, file) ?? ''
  writeFileSync(join(group, file), String(8 << 20))
  await host.make('x', {
    ...shell(`cat ${seen}; grep cgroup /proc/self/mountinfo; dd if=/dev/zero of=/dev/null bs=64M count=1`),
    cgroupDirectories: [group],
  })
  t.is(await host.exitCode('x'), 137)
  t.is((await host.state('x'))['oomKilled'], true)
  const [limit, ...mounts] = host.output('x').trim().split('\n')
  t.is(limit, String(8 << 20))
  const own = mounts.map((line) => line.split(' ')).filter((words) => words.at(-3)?.startsWith('cgroup'))
  t.true(own.length > 0)
  for (const [, , , root, , attributes = ''] of own) {
    t.is(root, '/', 'its own cgroup is the root of what it sees')
    t.deepEqual(attributes.split(',').slice(0, 4), ['ro', 'nosuid', 'nodev', 'noexec'])
  }
  await emptied(group)
})

test('what a monitor was killed in writing belongs to its container and goes with it', async (t) => {
  await using host = await namespaceHost()
  await host.make('x', shell('sleep 1000'))
  const torn = join(host.config.names.exits, 'x.AB12CD')
  const other = join(host.config.names.exits, 'xy.AB12CD')
  for (const file of [torn, other]) writeFileSync(file, '1')
  const { objects: listed } = await host.request(objects.namespace, {})
  t.deepEqual(
    listed.filter(({ kind }) => kind === 'exit file').map(({ container }) => container),
    ['x', 'xy'],
  )
  await host.send('undo', { id: 'x', cgroupDirectories: [] })
  t.deepEqual(readdirSync(host.config.names.exits), ['xy.AB12CD'], 'a longer id is another container')
})

import { once } from 'node:events'
import { existsSync, readFileSync, readlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import test from 'ava'
import { waitFor } from '../../services/namespace/bounded-wait.ts'
import { execStart, execWait, processExec } from '../../shared/contracts/operations.ts'
import { spawnAttacher } from '../../services/namespace/streams/attacher.ts'
import { type NamespaceTestHost, logText, namespaceHost } from './namespace-host.ts'

const executed = async (host: NamespaceTestHost, id: string, wish: object) => {
  const { execId, bundle } = await host.request(processExec, { id, ...wish })
  await host.request(execStart, { id, execId })
  const log = () => logText(join(bundle, 'container.log'))
  await waitFor(() => existsSync(join(bundle, execId)) || undefined, 10_000)
  const output = log()
  const { exitCode } = await host.request(execWait, { id, execId, timeoutMs: 10_000 })
  return { exitCode, output, bundle }
}

test('exec joins every namespace of the container, with its user, environment and directory', async (t) => {
  await using host = await namespaceHost()
  const { pid } = await host.make('x', { process: { env: ['A=1'] } })
  const kinds = ['pid', 'mnt', 'uts', 'ipc', 'net', 'cgroup']
  const links = `for n in ${kinds.join(' ')}; do readlink /proc/self/ns/$n; done`
  const { exitCode, output, bundle } = await executed(host, 'x', {
    args: ['sh', '-c', `${links}; echo $A $B $HOME; pwd; id -u; ls /proc/self/fd | wc -l; exit 9`],
    env: ['B=2'],
    user: 'ada',
    cwd: '/home/ada',
  })
  t.is(exitCode, 9)
  const lines = output.trim().split('\n')
  t.deepEqual(
    lines.slice(0, 6),
    kinds.map((kind) => readlinkSync(`/proc/${pid}/ns/${kind}`)),
  )
  t.deepEqual(lines.slice(6), ['1 2 /home/ada', '/home/ada', '1000', '4'])
  t.false(existsSync(bundle), 'its bundle is removed when its end is known')
  t.deepEqual(await readdir(host.config.names.exits), [], 'its end is not the container’s')
  t.is((await host.state('x'))['status'], 'running')
})

test('an exec killed by SIGTERM ends with 143, one that cannot run is refused', async (t) => {
  await using host = await namespaceHost()
  await host.make('x')
  t.is((await executed(host, 'x', { args: ['sh', '-c', 'kill -TERM $$; sleep 5'] })).exitCode, 143)
  await t.throwsAsync(host.request(processExec, { id: 'x', args: ['fly'] }), {
    code: 'command_not_found',
  })
  await t.throwsAsync(host.request(processExec, { id: 'x', args: ['/etc'] }), {
    code: 'command_not_executable',
  })
  await t.throwsAsync(host.request(processExec, { id: 'nobody', args: ['true'] }), {
    code: 'not_found',
  })
  await t.throwsAsync(host.request(execStart, { id: 'x', execId: '../../x' }), { code: 'not_found' })
  t.deepEqual(await readdir(host.paths('x').execs), [])
  await host.send('kill', { id: 'x', signal: 'KILL' })
  await t.throwsAsync(host.request(processExec, { id: 'x', args: ['true'] }), { code: 'conflict' })
})

test('exec-wait gives up in time and can be asked again; undo ends what still runs', async (t) => {
  await using host = await namespaceHost()
  await host.make('x')
  const { execId } = await host.request(processExec, { id: 'x', args: ['sleep', '1000'] })
  const { pid } = await host.request(execStart, { id: 'x', execId })
  t.deepEqual(await host.request(execWait, { id: 'x', execId, timeoutMs: 5 }), { exitCode: null })
  await host.undo('x')
  t.false(existsSync(`/proc/${pid}`))
})

const attach = async (socket: string) => {
  const client = await spawnAttacher(socket, 'pipe')
  const chunks: Buffer[] = []
  client.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
  const frames = () => {
    const found: [stream: number, text: string][] = []
    for (let rest = Buffer.concat(chunks); rest.length >= 8;) {
      const length = rest.readUInt32BE(4)
      found.push([rest[0] ?? 0, rest.subarray(8, 8 + length).toString()])
      rest = rest.subarray(8 + length)
    }
    return found
  }
  const text = (stream: number) =>
    frames()
      .filter(([from]) => from === stream)
      .map(([, part]) => part)
      .join('')
  return { client, text, ended: once(client, 'close') }
}

/** How many bytes a process has read in its life. */
const readBy = (pid: number): number =>
  Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1])

test('attach carries input, output and errors apart, and the end of input', async (t) => {
  await using host = await namespaceHost()
  await host.make('x', {
    args: ['sh', '-c', 'echo begun; echo odd >&2; cat; exit 4'],
    start: false,
    process: { stdin: true },
  })
  const { client, text, ended } = await attach(host.paths('x').attach)
  const big = 'abcdefg\n'.repeat(40_000)
  client.stdin?.end(big)
  await host.send('start', { id: 'x' })
  t.is(await host.exitCode('x'), 4)
  await ended
  t.is(text(2), 'odd\n')
  t.is(text(1), `begun\n${big}`)
})

test('output arrives when the process ends without having read its input', async (t) => {
  await using host = await namespaceHost()
  await host.make('x', { args: ['echo', 'out'], start: false, process: { stdin: true } })
  const { client, text, ended } = await attach(host.paths('x').attach)
  client.stdin?.on('error', () => {}) // it is never read to its end
  client.stdin?.write('x'.repeat(2 ** 20))
  // More than the process’s pipe (64 KiB) and its monitor take: the rest is in the socket when the monitor closes it.
  t.true(await waitFor(() => readBy(client.pid ?? 0) > 96 * 1024 || undefined, 10_000))
  client.kill('SIGSTOP')
  await host.send('start', { id: 'x' })
  t.is(await host.exitCode('x'), 0)
  client.kill('SIGCONT')
  await ended
  t.is(text(1), 'out\n')
})

test('attaching to an exec that is gone is refused', async (t) => {
  await using host = await namespaceHost()
  await host.make('x')
  const { bundle, attachSocket } = await host.request(processExec, { id: 'x', args: ['true'] })
  await host.undo('x')
  t.false(existsSync(bundle))
  await t.throwsAsync(spawnAttacher(attachSocket, 'held'), {
    message: 'cannot attach: its monitor has ended',
  })
})

test('a terminal is the container’s own, takes a size and lives on when its client leaves', async (t) => {
  await using host = await namespaceHost()
  await host.make('x', {
    args: ['sh'],
    start: false,
    process: { terminal: true, stdin: true, env: ['PS1=$ '] },
  })
  const { client, text, ended } = await attach(host.paths('x').attach)
  await host.send('start', { id: 'x' })
  const expectText = (part: string) => waitFor(() => text(1).includes(part) || undefined, 10_000)
  t.true(await expectText('$ '))
  writeFileSync(join(dirname(host.paths('x').attach), 'ctl'), '1 33 101\n')
  client.stdin?.write('tty; stat -c %t:%T /dev/console; echo $TERM\n')
  t.true(await expectText('/dev/pts/0'), text(1))
  t.true(await expectText('xterm'))
  for (let tries = 0; tries < 50 && !text(1).includes('33 101'); tries++) {
    client.stdin?.write('stty size\n')
    await waitFor(() => text(1).includes('33 101') || undefined, 200)
  }
  t.true(text(1).includes('33 101'), text(1))
  client.kill()
  await ended
  t.is((await host.state('x'))['status'], 'running')
  const second = await attach(host.paths('x').attach)
  second.client.stdin?.write('exit 6\n')
  t.is(await host.exitCode('x'), 6)
  await second.ended
})

test('an exec can have a terminal too', async (t) => {
  await using host = await namespaceHost()
  await host.make('x')
  const { output, exitCode } = await executed(host, 'x', { args: ['tty'], terminal: true })
  t.deepEqual([exitCode, output.trim()], [0, '/dev/pts/0'])
})

test('what nobody waits for goes a while after its end, or if it is never started, and nothing else', async (t) => {
  await using host = await namespaceHost()
  await host.make('x')
  const made = async (...args: string[]) => host.request(processExec, { id: 'x', args })
  const [ended, waiting, running, fresh] = [
    await made('true'),
    await made('true'),
    await made('sleep', '1000'),
    await made('true'),
  ]
  for (const { execId } of [ended, running, fresh]) await host.request(execStart, { id: 'x', execId })
  for (const { bundle, execId } of [ended, fresh])
    await waitFor(() => existsSync(join(bundle, execId)) || undefined, 10_000)
  for (const { bundle } of [ended, waiting, running]) utimesSync(bundle, 0, 0)
  const stop = new AbortController()
  const watching = host.watch(stop.signal)
  const isGone = () => (existsSync(ended.bundle) || existsSync(waiting.bundle) ? undefined : true)
  t.true(await waitFor(isGone, 10_000))
  stop.abort()
  await watching
  t.is((await host.request(execWait, { id: 'x', execId: fresh.execId, timeoutMs: 1 })).exitCode, 0)
  t.is((await host.request(execWait, { id: 'x', execId: running.execId, timeoutMs: 1 })).exitCode, null)
})

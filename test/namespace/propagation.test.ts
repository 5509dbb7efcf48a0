import { readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { run } from '../../shared/recorder.ts'
import { namespaceHost } from './namespace-host.ts'

const mountsBelow = (directory: string): string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((mountPoint) => mountPoint.startsWith(directory))

test('a root on a shared mount, as systemd makes them all, gets none of the container’s mounts', async (t) => {
  await using host = await namespaceHost()
  await using mounts = new AsyncDisposableStack()
  await run('mount', ['--bind', host.rootfs, host.rootfs])
  mounts.defer(async () => void (await run('umount', ['--recursive', host.rootfs])))
  await run('mount', ['--make-shared', host.rootfs])
  await mkdir(join(host.rootfs, 'dev'), { recursive: true })
  const before = mountsBelow(host.rootfs)
  await host.make('shared', { args: ['sh', '-c', 'grep -c shared: /proc/self/mountinfo'] })
  await host.exitCode('shared')
  t.is(host.output('shared'), '0\n', 'no mount of the container has a peer')
  t.deepEqual(mountsBelow(host.rootfs), before)
})

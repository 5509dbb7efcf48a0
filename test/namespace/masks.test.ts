import { readFileSync } from 'node:fs'
import test from 'ava'
import { waitFor } from '../../services/namespace/bounded-wait.ts'
import { namespaceHost } from './namespace-host.ts'

const shell = (script: string) => ({ args: ['sh', '-c', script] })

test('what is masked is empty, what is read-only stays so', async (t) => {
  await using host = await namespaceHost()
  await host.make(
    'x',
    shell(
      'cat /proc/keys /proc/interrupts /proc/timer_list | wc -c; ls /sys/firmware | wc -l; (echo 1 > /proc/sys/kernel/domainname) 2>&1; (mkdir /sys/x) 2>&1; (umount /proc/keys) 2>&1',
    ),
  )
  await host.exitCode('x')
  const lines = host.output('x').trim().split('\n')
  t.deepEqual(lines.slice(0, 2), ['0', '0'])
  t.is(
    lines.slice(2).filter((line) => /Read-only|not permitted|Permission denied/.test(line)).length,
    3,
    lines.join('\n'),
  )
})

test('the covers of what is masked are the container’s own and out of its sight, whatever it mounts at /dev/shm', async (t) => {
  await using host = await namespaceHost()
  const script = 'ls -A /dev/shm | wc -l; cat /proc/keys | wc -c; sleep 1000'
  await host.make('x', { ...shell(script), tmpfs: ['/dev/shm:size=1m'] })
  await waitFor(() => host.output('x') === '0\n0\n' || undefined, 5000)
  const { pid } = (await host.state('x')) as { pid: number }
  const lines = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n')
  const mounts = lines.map((line) => line.split(' '))
  const devices = mounts.find(([, , , , place]) => place === '/dev')
  for (const [path, root] of [
    ['/proc/keys', '/shm/file'],
    ['/sys/firmware', '/shm/directory'],
  ]) {
    const cover = mounts.find(([, , , , place]) => place === path)
    t.is(cover?.[2], devices?.[2], 'of the file system of its /dev')
    t.is(cover?.[3], root)
    t.regex(cover?.[5] ?? '', /^ro,nosuid,nodev,noexec/)
  }
})

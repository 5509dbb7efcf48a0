import test from 'ava'
import { run } from '../../shared/recorder.ts'
import { hostChecks } from '../../services/cli/stack/host-checks.ts'
import { hierarchiesIn } from '../../services/cli/stack/kernel-checks.ts'
import { temporaryConfig } from '../helpers/host.ts'

test('a host that is fit passes every check, and looking at it changes nothing', async (t) => {
  await using temporary = await temporaryConfig()
  const links = () => run('ip', ['-brief', 'link', 'show'])
  const before = (await links()).split('\n').length
  const checks = await hostChecks(temporary.config)
  t.deepEqual(
    checks.filter(({ ok }) => !ok),
    [],
  )
  t.is(new Set(checks.map(({ name }) => name)).size, checks.length, 'each has a name of its own')
  t.is((await links()).includes('probe'), false)
  t.true(before > 0)
})

test('hierarchies are told apart on v1, hybrid and v2 hosts', (t) => {
  const v1 = '33 32 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct'
  const unified = '40 32 0:30 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate'
  const v2 = '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,memory_recursiveprot'
  const other = '25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw'
  const cpu = { version: 1, path: '/sys/fs/cgroup/cpu,cpuacct', controllers: ['cpu', 'cpuacct'] }
  t.deepEqual(hierarchiesIn([other, v1].join('\n')), [cpu])
  t.deepEqual(hierarchiesIn([v1, unified].join('\n')), [
    cpu,
    { version: 2, path: '/sys/fs/cgroup/unified', controllers: [] },
  ])
  t.deepEqual(hierarchiesIn([other, v2].join('\n')), [
    { version: 2, path: '/sys/fs/cgroup', controllers: [] },
  ])
})

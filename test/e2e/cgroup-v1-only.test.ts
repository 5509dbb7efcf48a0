import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { hierarchiesIn } from '../../services/cli/stack/kernel-checks.ts'
import { down } from '../../services/cli/stack/down.ts'
import { environmentOf } from '../../services/cli/stack/stack-environment.ts'
import { dollyOf, program } from '../cli/dolly.ts'
import { temporaryConfig } from '../helpers/host.ts'
import { cgroupsOf, exists } from '../helpers/kernel-facts.ts'

const hierarchies = hierarchiesIn(readFileSync('/proc/self/mountinfo', 'utf8'))
const v1 = hierarchies.flatMap(({ controllers }) => controllers)
const hasV1 = ['cpu', 'memory', 'pids', 'freezer', 'devices'].every((name) => v1.includes(name))
const onV1 = hasV1 ? test : test.skip

onV1('where v1 is all that is mounted, containers are limited, paused, killed and removed', async (t) => {
  await using temporary = await temporaryConfig()
  const { config } = temporary
  const env = environmentOf(config)
  const fixture = join(import.meta.dirname, '../cli/fixtures/without-cgroup-v2.sh')
  const words = ['--mount', '--propagation', 'private', '--', fixture, program, 'up', '--json', '-q']
  const stack = spawn('unshare', words, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(stack, 'exit')
  try {
    const isUp = await Promise.race([once(stack.stdout, 'data').then(() => true), ended.then(() => false)])
    t.true(isUp, 'the stack starts')
    const dolly = dollyOf({ env })
    const limit = '/sys/fs/cgroup/memory/memory.limit_in_bytes'
    const limited = await dolly(['run', '--rm', '-q', '--memory', '64M', 'busybox', 'cat', limit])
    t.is(limited.stdout, String(64 * 2 ** 20), limited.stderr)

    const { stdout: id } = await dolly(['run', '-d', '-q', '--name', 'paused', 'busybox', 'sleep', '1000'])
    const groups = await cgroupsOf(config, id)
    t.true(groups.length > 0)
    for (const { version, path } of hierarchies)
      if (version === 2) t.false(await exists(join(path, config.names.cgroupParent)), 'v2 is not used')
    t.is((await dolly(['pause', 'paused'])).exitCode, 0)
    t.is((await dolly(['rm', '-f', 'paused'])).exitCode, 0)
    t.deepEqual(await cgroupsOf(config, id), [])
    t.is((await dolly(['doctor', '--leaks'])).exitCode, 0)
  } finally {
    await down(config)
    await ended
  }
})

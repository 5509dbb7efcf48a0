import { existsSync, readFileSync } from 'node:fs'
import test from 'ava'
import { runningSupervisor } from '../../services/cli/stack/stack-files.ts'
import { bundlePaths } from '../../services/namespace/bundle.ts'
import { readInit } from '../../services/namespace/process-identity.ts'
import { eventually, startStack } from '../helpers/stack.ts'
import { dollyOf } from './dolly.ts'

test('leaks are told with the stack up and down; a living container and what it uses are none', async (t) => {
  await using stack = await startStack()
  const dolly = dollyOf(stack)
  const { stdout: id } = await dolly(['run', '-d', '-q', 'busybox', 'sleep', '1000'])
  const up = await dolly(['doctor', '--leaks'])
  t.is(up.stdout, '')
  t.is(up.stderr, 'no leaks')
  t.is(up.exitCode, 0)

  t.regex((await dolly(['down'])).stderr, /1 container stays/)
  t.is((await dolly(['doctor', '--leaks'])).stderr, 'no leaks')
  const pid = readInit(bundlePaths(stack.config.names.bundle(id)).pid)?.pid ?? 0
  t.true(pid > 1)
  process.kill(pid, 'SIGKILL')
  await eventually('its init has ended', () => !existsSync(`/proc/${pid}`))
  const down = await dolly(['doctor', '--leaks', '--json'])
  t.is(down.exitCode, 1)
  const kinds = new Set((JSON.parse(down.stdout) as { kind: string }[]).map(({ kind }) => kind))
  for (const kind of ['bundle', 'netns', 'veth', 'address', 'subvolume', 'mount', 'bridge'])
    t.true(kinds.has(kind), kind)

  t.is((await dolly(['up', '-d', '-q'])).exitCode, 0)
  const supervisor = await runningSupervisor(stack.config)
  const environment = readFileSync(`/proc/${supervisor?.pid}/environ`, 'latin1')
  t.true(environment.includes('DOLLY_ROOT='))
  t.false(
    environment.includes('GLIBC_TUNABLES'),
    'what the command line asks of its own memory stays its own',
  )
})

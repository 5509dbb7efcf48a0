import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { waitFor } from '../../services/namespace/bounded-wait.ts'
import { spawnAttacher } from '../../services/namespace/streams/attacher.ts'
import { eventually } from '../helpers/stack.ts'
import { namespaceHost } from './namespace-host.ts'

const shell = (script: string) => ({ args: ['sh', '-c', script] })

test('stop ends the run that it was asked about, not the one that follows', async (t) => {
  await using host = await namespaceHost()
  const { pid } = await host.make(
    'x',
    shell('trap "sleep 0.4; exit 3" TERM; echo ready; while :; do sleep 0.05; done'),
  )
  await eventually('it has its trap', () => host.output('x').includes('ready'))
  const stopping = host.send('stop', { id: 'x', graceMs: 3000 })
  await waitFor(
    () =>
      existsSync(host.paths('x').exit) || existsSync(join(host.config.names.exits, 'x')) ? true : undefined,
    5000,
  )
  const next = (await host.send('start', { id: 'x' })) as { pid: number }
  t.not(next.pid, pid)
  await stopping
  t.like(await host.state('x'), { status: 'running', pid: next.pid })
})

test('stop ends a container whose client reads no more, and it starts again', async (t) => {
  await using host = await namespaceHost()
  await host.make('x', { ...shell('yes | head -c 4000000; sleep 1000'), start: false })
  // Nobody takes what it says of the output: its pipe fills up, then the socket of the monitor.
  const client = await spawnAttacher(host.paths('x').attach, 'held')
  t.teardown(() => client.kill('SIGKILL'))
  await host.send('start', { id: 'x' })
  await eventually('it has written', () => host.output('x').length > 0)
  const stopped = await host.send('stop', { id: 'x', graceMs: 200 })
  t.like(stopped, { status: 'stopped', exitCode: 255, lost: true })
  t.like(await host.send('start', { id: 'x' }), { status: 'running' })
})

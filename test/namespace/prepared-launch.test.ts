import { existsSync } from 'node:fs'
import test from 'ava'
import { launchersOf, monitorOf } from '../../services/namespace/monitor.ts'
import { eventually } from '../helpers/stack.ts'
import { type NamespaceTestHost, namespaceHost } from './namespace-host.ts'

/** Answers the monitor and the runtime that waits for its plan. */
const prepared = async (host: NamespaceTestHost, id: string) => {
  await host.send('prepare', { id, process: { terminal: false, stdin: false }, logSizeBytes: 1 << 20 })
  const paths = host.paths(id)
  await eventually(
    'the runtime waits for its plan',
    () => launchersOf(paths).length === 2 && monitorOf(paths) !== undefined,
  )
  return launchersOf(paths)
}

test('a container is made by the monitor that was started ahead', async (t) => {
  await using host = await namespaceHost()
  const launchers = await prepared(host, 'x')
  t.false(existsSync(host.paths('x').plan))
  await host.send('prepare', { id: 'x', process: { terminal: false, stdin: false }, logSizeBytes: 1 << 20 })
  const { pid } = await host.make('x', { args: ['sh', '-c', 'echo ran; sleep 1000'] })
  t.true(launchers.includes(monitorOf(host.paths('x')) ?? 0))
  t.false(launchers.includes(pid))
  await eventually('the command ran', () => host.output('x') === 'ran\n')
  await host.undo('x')
  t.deepEqual(launchersOf(host.paths('x')), [])
})

test('undo ends a monitor whose container was never asked for', async (t) => {
  await using host = await namespaceHost()
  await prepared(host, 'x')
  await host.undo('x')
  t.deepEqual(launchersOf(host.paths('x')), [])
  t.false(existsSync(host.paths('x').directory))
  await host.undo('x')
})

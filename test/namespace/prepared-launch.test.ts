import { existsSync, rmSync } from 'node:fs'
import test from 'ava'
import { objects } from '../../shared/contracts/operations.ts'
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

test('undo at once leaves no monitor that comes up later', async (t) => {
  await using host = await namespaceHost()
  const ids = Array.from({ length: 20 }, (_, index) => `x${index}`)
  const monitored = { process: { terminal: false, stdin: false }, logSizeBytes: 1 << 20 }
  for (const id of ids) void host.send('prepare', { id, ...monitored })
  await Promise.all(ids.map((id) => host.undo(id)))
  const left = await host.request(objects.namespace, {})
  t.deepEqual(left.objects, [])
  for (const id of ids) t.deepEqual(launchersOf(host.paths(id)), [], id)
})

test('a monitor whose bundle was removed behind its back ends by itself', async (t) => {
  await using host = await namespaceHost()
  await prepared(host, 'x')
  rmSync(host.paths('x').directory, { recursive: true })
  await eventually('it has ended', () => launchersOf(host.paths('x')).length === 0)
  await host.undo('x')
  t.false(existsSync(host.paths('x').directory))
})

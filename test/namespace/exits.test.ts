import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { waitFor } from '../../services/namespace/bounded-wait.ts'
import { type NamespaceTestHost, namespaceHost } from './namespace-host.ts'

const shell = (script: string) => ({ args: ['sh', '-c', script] })

/** Whether the exit of a container is published soon. */
const isTold = (host: NamespaceTestHost, id: string) =>
  waitFor(() => host.published.some((event) => event.id === id) || undefined, 5000)

test('what is wrong with one exit keeps no other from being published', async (t) => {
  await using host = await namespaceHost()
  await host.make('broken', shell('exit 4'))
  await host.make('half', shell('exit 5'))
  for (const id of ['broken', 'half']) await host.exitCode(id)
  writeFileSync(host.paths('half').exit, '{"exitCode":')
  rmSync(host.paths('broken').exit)
  // Nothing can be written in its place, as on a full disk.
  mkdirSync(join(`${host.paths('broken').exit}.new`, 'in-the-way'), { recursive: true })
  const stop = new AbortController()
  const watching = host.watch(stop.signal)
  t.true(await isTold(host, 'half'))
  stop.abort()
  await watching
  t.deepEqual(
    host.published.map(({ id, data }) => [id, data['exitCode']]),
    [['half', 5]],
  )
})

test('an exit whose acknowledgement comes late is not taken for the next one', async (t) => {
  const late = Promise.withResolvers<void>()
  let first = true
  await using host = await namespaceHost({}, async () => {
    if (!first) return
    first = false
    await late.promise
  })
  await host.make('x', shell('sleep 0.2; exit 5'))
  const stop = new AbortController()
  const watching = host.watch(stop.signal)
  t.true(await isTold(host, 'x'))
  const { pid } = (await host.send('start', { id: 'x' })) as { pid: number }
  late.resolve()
  await waitFor(() => (existsSync(host.paths('x').reported) ? true : undefined), 100)
  const isSecondTold = () => host.published.some(({ data }) => data['pid'] === pid) || undefined
  t.true(await waitFor(isSecondTold, 5000))
  stop.abort()
  await watching
})

test('exits are published though nothing tells of them', async (t) => {
  await using host = await namespaceHost()
  const { exits } = host.config.names
  await host.make('before', shell('exit 5'))
  await host.exitCode('before')
  renameSync(exits, `${exits}.away`)
  const stop = new AbortController()
  const watching = host.watch(stop.signal)
  t.true(await isTold(host, 'before'))
  renameSync(`${exits}.away`, exits)
  await host.make('later', shell('exit 6'))
  t.true(await isTold(host, 'later'))
  stop.abort()
  await watching
})

test('every exit is published once, also one that happened while nobody watched', async (t) => {
  await using host = await namespaceHost()
  await host.make('before', shell('exit 5'))
  await host.exitCode('before')
  const stop = new AbortController()
  const watching = host.watch(stop.signal)
  await host.make('during', shell('exit 6'))
  await waitFor(
    () => (host.published.length === 2 && readdirSync(host.config.names.exits).length === 0) || undefined,
    5000,
  )
  stop.abort()
  await watching
  const again = new AbortController()
  const watchingAgain = host.watch(again.signal)
  again.abort()
  await watchingAgain
  t.deepEqual(
    host.published.map(({ id, type, data }) => [id, type, data['exitCode'], data['oomKilled']]),
    [
      ['before', 'container.exited', 5, false],
      ['during', 'container.exited', 6, false],
    ],
  )
  t.regex(host.published[0]?.messageId ?? '', /^before:exited:\d+:\d{4}-/)
  t.like(await host.state('before'), { status: 'stopped', exitCode: 5 })
})

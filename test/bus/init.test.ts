import test from 'ava'
import { environmentOf } from '../../services/cli/stack/stack-environment.ts'
import { dollyOf } from '../cli/dolly.ts'
import { probe } from '../helpers/probe.ts'
import { startNatsServer } from '../helpers/stack.ts'

test('bus init makes what is missing, again changes nothing, and waits for a server when told to', async (t) => {
  await using server = await startNatsServer()
  const dolly = dollyOf({ env: environmentOf(server.config) })
  t.like(await dolly(['bus', 'init']), { exitCode: 0, stderr: '' })
  t.like(await dolly(['bus', 'init']), { exitCode: 0, stderr: '' })
  await server.stop()
  const refused = await dolly(['bus', 'init'])
  t.is(refused.exitCode, 1)
  t.regex(refused.stderr, /^dolly: cannot [^\n]*$/)
  const waiting = dolly(['bus', 'init', '--wait'])
  await server.start()
  t.like(await waiting, { exitCode: 0 })
})

test('the list of containers alone counts before it is on disk', async (t) => {
  await using server = await startNatsServer()
  await using orchestrator = await probe(server.config, 'orchestrator')
  const persisting: Record<string, unknown> = {}
  for (const bucket of ['containers', 'names', 'nodes', 'reservations']) {
    const reply = await orchestrator.connection.request(`$JS.API.STREAM.INFO.KV_${bucket}`)
    persisting[bucket] = reply.json<{ config: { persist_mode?: string } }>().config.persist_mode
  }
  t.deepEqual(persisting, {
    containers: 'async',
    names: undefined,
    nodes: undefined,
    reservations: undefined,
  })
})

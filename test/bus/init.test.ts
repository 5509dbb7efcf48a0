import test from 'ava'
import { environmentOf } from '../../services/cli/stack/stack-environment.ts'
import { dollyOf } from '../cli/dolly.ts'
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

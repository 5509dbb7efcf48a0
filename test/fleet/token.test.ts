import test from 'ava'
import { giveToken } from '../../services/cli/join/give-token.ts'
import { readFleet } from '../../services/cli/join/fleet.ts'
import { writeNatsConfigurationAt } from '../../services/cli/stack/nats-configuration.ts'
import { temporaryConfig } from '../helpers/host.ts'

test('there is no token for a bus that only its own host reaches', async (t) => {
  await using temporary = await temporaryConfig()
  const { config } = temporary
  await writeNatsConfigurationAt(config, 4222)
  const wanted = { node: 'b', ttlMs: 60_000 }
  await t.throwsAsync(giveToken(config, wanted), {
    message: /^cannot make a token: the bus listens where only this host reaches it; DOLLY_NATS_LISTEN /,
  })
  t.deepEqual(await readFleet(config), { nodes: {}, tokens: [], operators: [] })

  await writeNatsConfigurationAt({ ...config, natsListen: '192.0.2.1' }, 4222)
  const { token } = await giveToken(config, wanted)
  t.deepEqual((await readFleet(config)).tokens, [token])
})

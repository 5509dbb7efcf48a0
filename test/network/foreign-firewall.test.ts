import test from 'ava'
import { z } from 'zod'
import { run } from '../../shared/recorder.ts'

const Answer = z.object({
  bridge: z.string(),
  prepared: z.string(),
  released: z.array(z.string()),
  after: z.string(),
})

const fixture = new URL('fixtures/prepare-and-release.ts', import.meta.url).pathname

/** Prepares and releases a stack on a host of its own, whose firewall is as `rules` say. */
const onHostWith = async (rules: string, ...without: string[]) =>
  Answer.parse(
    JSON.parse(await run('unshare', ['--net', '--mount', process.execPath, fixture, rules, ...without])),
  )

test("where Docker drops what is forwarded, its own chain admits the stack's bridge until release", async (t) => {
  const { bridge, prepared, released, after } = await onHostWith(
    ':FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -j RETURN',
  )
  t.deepEqual(prepared.split('\n').toSorted(), [
    `-A DOCKER-USER -i ${bridge}+ -j ACCEPT`,
    '-A DOCKER-USER -j RETURN',
    `-A DOCKER-USER -o ${bridge}+ -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    '-N DOCKER-USER',
  ])
  t.is(after, '-N DOCKER-USER\n-A DOCKER-USER -j RETURN')
  t.true(released.includes('ip_forward'))
})

test('where nothing is dropped, other tables are left alone', async (t) => {
  const { prepared, after } = await onHostWith(':FORWARD ACCEPT [0:0]\n:DOCKER-USER - [0:0]')
  t.is(prepared, '-N DOCKER-USER')
  t.is(after, prepared)
})

test('where Docker drops what is forwarded and there is no iptables, the network is readied all the same', async (t) => {
  const { released } = await onHostWith(':FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]', 'without')
  t.true(released.includes('ip_forward'))
})

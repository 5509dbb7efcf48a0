import test from 'ava'
import { makeHosts } from '../helpers/hosts.ts'

test('a host joins with a token that is meant for it, not with another, and both are listed', async (t) => {
  await using fleet = await makeHosts(['a', 'b'])
  const [a, b] = fleet.hosts as [(typeof fleet.hosts)[0], (typeof fleet.hosts)[0]]

  const wrong = (await a.dolly(['node', 'token', '--node', 'c'])).stdout
  const refused = await b.dolly(['join', fleet.url, '--token', wrong, '--name', 'b'])
  t.log(refused.stderr)
  t.is(refused.exitCode, 1)
  await fleet.join(b, 'b')
  const list = await b.dolly(['node', 'ls'])
  t.log(list.stdout, list.stderr)
  t.regex(list.stdout, /a +Ready/)
})

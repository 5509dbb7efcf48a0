import { fileURLToPath } from 'node:url'
import test from 'ava'
import { createCoprocess } from '../../shared/coprocess.ts'

const program = fileURLToPath(new URL('../../services/network/native/dolly-netns', import.meta.url))

test('on a host where nobody has named a network namespace yet, the directory of names is made', async (t) => {
  const fresh = 'mount -t tmpfs fresh /run && exec "$0"'
  const maker = createCoprocess('/usr/bin/unshare', () => ['--mount', 'sh', '-c', fresh, program])
  const first = await maker.ask(['make', '/run/netns/first', '0', '0'])
  t.is(first.errno, 0)
  t.is((await maker.ask(['make', '/run/netns/second', '0', '0'])).errno, 0)
  t.is((await maker.ask(['make', '/run/netns/second', '0', '0'])).errno, 17, 'EEXIST: a name is given once')
  await maker.end()
})

test('a link is deleted by its number, and one that is gone already is success', async (t) => {
  const links = 'ip link add dtestlink index 1000 type bridge && ip link add dtestkept index 1001 type bridge'
  const words = ['--net', 'sh', '-c', `${links} && exec "$0"`, program]
  const one = createCoprocess('/usr/bin/unshare', () => words)
  t.is((await one.ask(['delete', '1000'])).errno, 0)
  t.is((await one.ask(['delete', '1000'])).errno, 0)
  for (const wrong of ['dtestkept', '', '0', '-1', '1001x', '4294967297'])
    t.is((await one.ask(['delete', wrong])).errno, 22, `EINVAL: "${wrong}" is no number of a link`)
  t.is((await one.ask(['delete', '1'])).errno, 95, 'EOPNOTSUPP: what may not go, the loopback, is told')
  await one.end()
})

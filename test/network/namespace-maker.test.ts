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

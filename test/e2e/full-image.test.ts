import test from 'ava'
import { containerClient } from '../helpers/container-client.ts'
import { startStack } from '../helpers/stack.ts'

test('a full image refuses further containers in words, and takes them again when there is space', async (t) => {
  await using stack = await startStack({ DOLLY_COWFS_SIZE: '256M', DOLLY_ROOT_SIZE: '256M' })
  await using client = await containerClient(stack.config)
  const { id } = await client.create({ command: ['sleep', '1000'] })
  const fill = await client.exec(id, ['dd', 'if=/dev/urandom', 'of=/full', 'bs=1M'])
  t.not(fill.exitCode, 0)
  t.regex(fill.output, /No space left on device/)
  await client.exec(id, ['sync'])

  const { type, data } = await client.tryCreate({ id: 'late', image: 'busybox', command: ['sleep', '1000'] })
  t.log(data['reason'])
  t.is(type, 'container.failed')
  t.like(data, { step: 'storage', code: 'no_space' })
  t.regex(String(data['reason']), /left in .*needed/)
  t.deepEqual(await client.leaks(), [])
  t.is((await client.get(id)).status, 'running')

  t.is((await client.exec(id, ['sh', '-c', 'rm /full && sync'])).exitCode, 0)
  const { status } = await client.create({ id: 'late', command: ['sleep', '1000'] })
  t.is(status, 'running')
})

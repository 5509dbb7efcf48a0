import test from 'ava'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { containerClient } from '../helpers/container-client.ts'
import { startStack } from '../helpers/stack.ts'

test('a container that has ended starts again when its image has gone, as it was made', async (t) => {
  await using stack = await startStack()
  await using client = await containerClient(stack.config)
  const { id } = await client.create({
    command: ['sh', '-c', 'test -e /once || { touch /once; exit 7; }; sleep 1000'],
  })
  await client.exited(id)
  await ask(stack.bus, verbs.imageRemove, { reference: 'busybox' })
  t.is((await ask(client.bus, verbs.containerStart, { container: id })).status, 'running')
  t.is((await client.exec(id, ['ls', '/once'])).output.trim(), '/once')
  t.is((await client.tryCreate({ image: 'busybox' })).data['code'], 'image_not_found')
})

import test from 'ava'
import { createLinkRemover } from '../../services/network/link-remover.ts'
import { createNetnsProgram } from '../../services/network/netns-program.ts'
import { interfaces } from '../../services/network/interfaces.ts'
import { createRecorder, run } from '../../shared/recorder.ts'

const link = `dtest${process.pid}`
const add = () => run('ip', ['link', 'add', link, 'type', 'bridge'])
const removeByHand = () => run('ip', ['link', 'delete', link])

test('a link that was given the name of the one to delete meanwhile is left alone', async (t) => {
  const program = createNetnsProgram()
  t.teardown(async () => {
    if (interfaces.exists(link)) await removeByHand()
    await program.end()
  })
  const pid = program.pid()
  if (pid === undefined) throw new Error('dolly-netns does not run')
  const remover = createLinkRemover(program)
  const record = createRecorder()

  await add()
  await remover.remove(record, link)
  t.false(interfaces.exists(link))
  await remover.remove(record, link)
  t.is(record.entries.length, 1, 'of what is not there, nothing is done or recorded')

  await add()
  process.kill(pid, 'SIGSTOP')
  const removed = remover.remove(record, link)
  await removeByHand()
  await add()
  const next = interfaces.index(link)
  process.kill(pid, 'SIGCONT')
  await removed
  // It ends when all its tasks are done.
  await program.end()
  t.is(interfaces.index(link), next)
})

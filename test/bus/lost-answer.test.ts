import test from 'ava'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { askRemoval } from '../../services/cli/commands/bus/ask-again.ts'
import { giveToken } from '../../services/cli/join/give-token.ts'
import { readToken } from '../../services/cli/join/token.ts'
import { tokenUserOf } from '../../services/cli/stack/nats-permissions.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { Failure } from '../../shared/failure.ts'
import { probeWithKey } from '../helpers/probe.ts'
import { eventually, startNatsServer } from '../helpers/stack.ts'

test('the server that reads its users anew loses an answer on its way: what is idempotent is asked again, and a removal until nothing is there, nothing else is', async (t) => {
  // There are tokens only for a bus that others could reach.
  await using server = await startNatsServer({ DOLLY_NATS_LISTEN: '127.0.0.2' })
  await using answerer = await server.bus('orchestrator')
  await using asker = await server.bus()
  const asked: string[] = []
  const told = Promise.withResolvers<void>()
  await answerer.serve({
    name: 'orchestrator',
    description: 'answers the first of each once the server has read its users',
    metadata: {},
    endpoints: [verbs.nodeList, verbs.sagaRebuild, verbs.nodeRemove].map(({ subject }) => ({
      name: subject.replace('.', '-'),
      subject,
      handle: async () => {
        asked.push(subject)
        if (asked.filter((one) => one === subject).length === 1) await told.promise
        else if (subject === verbs.nodeRemove.subject) throw new Failure('not_found', 'no such node: far')
        return { plain: { nodes: [], containers: 0 } }
      },
    })),
  })
  await eventually('it is there', async () => (await asker.ping('orchestrator')).length === 1)
  const idempotent = ask(asker, verbs.nodeList, {})
  const other = ask(asker, verbs.sagaRebuild, {}, { timeoutMs: 3000 }).catch((error: unknown) => error)
  const removal = askRemoval(asker, verbs.nodeRemove, { node: 'far' })
  await eventually('all are asked', () => asked.length === 3)
  const { id, seed } = readToken((await giveToken(server.config, { node: null, ttlMs: 600_000 })).text)
  await eventually('the server has read them', async () => {
    const one = await probeWithKey(server.url, { user: tokenUserOf(id), seed }).catch(() => undefined)
    await one?.[Symbol.asyncDispose]()
    return one !== undefined
  })
  told.resolve()
  t.deepEqual(await idempotent, { nodes: [] })
  await removal
  const failure = await other
  t.true(failure instanceof Failure && failure.code === 'timeout', String(failure))
  t.is(asked.filter((one) => one === verbs.sagaRebuild.subject).length, 1)
})

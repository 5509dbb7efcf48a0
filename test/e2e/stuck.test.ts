import test from 'ava'
import { ulid } from 'ulid'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { dollyOf } from '../cli/dolly.ts'
import { type ContainerClient, containerClient, containerFor } from '../helpers/container-client.ts'
import { tracesOf } from '../helpers/fault-traces.ts'
import { run } from '../helpers/reboot.ts'
import { eventually, startStack } from '../helpers/stack.ts'

let stack: Awaited<ReturnType<typeof startStack>>
let client: ContainerClient

test.before(async () => {
  stack = await startStack({
    DOLLY_RECONCILE_MS: '500',
    DOLLY_ACK_WAIT_MS: '500',
    DOLLY_FAULT_INJECTION: 'on',
  })
  client = await containerClient(stack.config)
})
test.after.always(async () => {
  await release()
  for (const { id, status } of (await ask(stack.bus, verbs.sagaList, {})).sagas)
    if (status === 'stuck') await ask(stack.bus, verbs.sagaRetry, { container: id }, patience)
  await client?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
})

/** btrfs refuses to delete the subvolume that a bare mount would show. */
const hold = (id: string) => run('btrfs', 'subvolume', 'set-default', stack.config.names.rootfs(id))
const release = () => run('btrfs', 'subvolume', 'set-default', '5', stack.config.names.cowfs)

const patience = { timeoutMs: 60_000 }
const listed = async (id: string) =>
  (await ask(client.bus, verbs.sagaList, {})).sagas.find((saga) => saga.id === id)

const stuckContainer = async (id: string): Promise<void> => {
  await client.create({ id, command: ['sleep', '1000'] })
  await hold(id)
  const { type, data } = await client.tryDelete({ id })
  if (type !== 'container.stuck') throw new Error(`${type}: ${JSON.stringify(data)}`)
}

test.serial(
  'what cannot be undone is stuck by name and reason, and a retry ends it when the cause has gone',
  async (t) => {
    const id = ulid()
    await client.create({ id, command: ['sleep', '1000'] })
    await hold(id)
    const { type, data } = await client.tryDelete({ id })
    t.is(type, 'container.stuck')
    const leaked = data['leaked'] as { step: string; reason: string }[]
    t.deepEqual(
      leaked.map(({ step }) => step),
      ['storage'],
    )
    t.regex(leaked[0]?.reason ?? '', /cannot delete root of .*not permitted/i)
    t.is((await client.get(id)).status, 'stuck')
    await eventually('it is listed', async () => (await listed(id))?.status === 'stuck')
    t.deepEqual((await listed(id))?.leaked, leaked)
    t.deepEqual(tracesOf(stack.config, id), [stack.config.names.rootfs(id)], 'all else is undone')

    const { records } = await ask(stack.bus, verbs.sagaShow, { container: id })
    t.true(records.length >= 4)
    t.true(records.some((record) => record.type === 'container.stuck'))

    const again = await ask(stack.bus, verbs.sagaRetry, { container: id }, patience)
    t.is(again.status, 'stuck', 'the cause is still there')
    await release()
    const now = await ask(stack.bus, verbs.sagaRetry, { container: id }, patience)
    t.is(now.status, 'deleted')
    t.is(client.eventsOf(id, 'container.deleted').length, 1)
    t.deepEqual(tracesOf(stack.config, id), [])
    await eventually('it is listed no more', async () => (await listed(id)) === undefined)
    const refused = await t.throwsAsync(ask(stack.bus, verbs.sagaRetry, { container: id }))
    t.regex(String(refused?.message), /is deleted, not stuck/)
  },
)

test.serial(
  'skip leaves one resource and undoes the rest; it is a known leak until it is cleaned',
  async (t) => {
    const id = ulid()
    await stuckContainer(id)
    const wrong = await t.throwsAsync(ask(stack.bus, verbs.sagaSkip, { container: id, step: 'network' }))
    t.regex(String(wrong?.message), /"network" is not one of storage/)
    const { status } = await ask(stack.bus, verbs.sagaSkip, { container: id, step: 'storage' }, patience)
    t.is(status, 'deleted')
    await eventually('the log says so', () =>
      JSON.stringify(client.eventsOf(id, 'saga.unwinding')).includes('skipped by an operator'),
    )
    await release()
    await eventually('it is reported as abandoned', async () =>
      (await client.leaks()).some(
        ({ container, ownership }) => container === id && ownership === 'abandoned',
      ),
    )
    t.deepEqual(
      tracesOf(stack.config, id),
      [stack.config.names.rootfs(id)],
      'the reconciler leaves it, as it was told',
    )
    await ask(stack.bus, verbs.nodeClean, { container: id })
    t.deepEqual(tracesOf(stack.config, id), [])
  },
)

test.serial('abort gives up, says what was left, and node.clean removes it later', async (t) => {
  const id = ulid()
  await stuckContainer(id)
  const { status } = await ask(stack.bus, verbs.sagaAbort, { container: id })
  t.is(status, 'failed')
  const ended = await client.until(
    'the end is told',
    ({ subject, type }) => subject === id && type === 'container.failed',
  )
  t.deepEqual(
    (ended.data['leaked'] as { step: string }[]).map(({ step }) => step),
    ['storage'],
  )
  t.deepEqual(tracesOf(stack.config, id), [stack.config.names.rootfs(id)])
  const held = await t.throwsAsync(ask(stack.bus, verbs.nodeClean, { container: id }, patience))
  t.regex(String(held?.message), /cannot remove all of .*storage: /)
  await release()
  await ask(stack.bus, verbs.nodeClean, { container: id })
  t.deepEqual(tracesOf(stack.config, id), [])
})

test.serial('a create whose compensation fails ends as stuck, and so does its command', async (t) => {
  const id = ulid()
  const make = client.publish('container.create', {
    id,
    image: 'busybox',
    command: ['no-such-command'],
    trace: { inject: [{ step: 'namespace', point: 'after-act', action: 'fail' }] },
  })
  const commandId = await make
  const watching = eventually('its root is there', async () => {
    const isThere = () => tracesOf(stack.config, id).includes(stack.config.names.rootfs(id))
    const held =
      isThere() &&
      (await hold(id).then(
        () => true,
        (error: unknown) => {
          if (isThere()) throw error
          return false // it has been undone meanwhile
        },
      ))
    return held || client.outcomesOf(commandId).length > 0
  })
  await watching
  const { type } = await client.outcome(commandId)
  t.true(
    ['container.stuck', 'container.failed'].includes(type),
    'the root may have been undone before it was held',
  )
  await release()
  if (type === 'container.stuck') {
    await ask(stack.bus, verbs.sagaRetry, { container: id }, patience)
    t.is(client.outcomesOf(commandId).length, 1, 'the retry does not answer the command a second time')
  }
  t.deepEqual(tracesOf(stack.config, id), [])
})

test.serial('dolly saga and dolly doctor --clean see to it from the command line', async (t) => {
  const dolly = dollyOf(stack)
  const id = ulid()
  await stuckContainer(id)
  await eventually('it is listed', async () => (await dolly(['saga', 'ls'])).stdout.includes(id))
  t.regex((await dolly(['saga', 'ls'])).stdout, new RegExp(`${id} .* stuck .*storage`))
  t.regex((await dolly(['saga', 'show', id])).stdout, /container.stuck .*storage leaked/)
  const again = await dolly(['saga', 'retry', id])
  t.is(again.exitCode, 1)
  t.regex(again.stderr, /left: storage: cannot delete root/)
  const aborted = await dolly(['saga', 'abort', id])
  t.is(aborted.exitCode, 0, aborted.stderr)
  t.regex(aborted.stderr, new RegExp(`dolly doctor --clean ${id}`))
  const refused = await dolly(['saga', 'abort', id])
  t.is(refused.exitCode, 1)
  t.regex(refused.stderr, /^dolly: cannot saga \w+: .*is failed, not stuck/)
  await release()
  const leaks = await dolly(['doctor', '--leaks'])
  t.regex(leaks.stdout, /subvolume .*abandoned/)
  t.is((await dolly(['doctor', '--clean', id])).stdout, id)
  t.is((await dolly(['doctor', '--leaks'])).exitCode, 0)
  t.regex((await dolly(['saga', 'rebuild'])).stdout, /^\d+ containers$/)
  t.deepEqual(tracesOf(stack.config, id), [])
})

test.serial('the list is rebuilt from the log on an operator’s word', async (t) => {
  const { id } = await containerFor(t, client)
  const bucket = await stack.inside.bucket('containers')
  const everyContainer = async () => (await ask(client.bus, verbs.containerList, { all: true })).containers
  await eventually('it is not listed', async () => {
    // Again and again: an event of its creation may still be on its way to the list, and bring the key back. Who
    // asks for the list waits for what is on the log by then.
    await everyContainer()
    const entry = await bucket.get(id)
    if (entry?.operation === 'PUT') await bucket.delete(id, { previousSeq: entry.revision })
    return (await everyContainer()).every((container) => container.id !== id)
  })
  const { containers } = await ask(stack.bus, verbs.sagaRebuild, {})
  t.true(containers > 0)
  await eventually('it is listed again', async () =>
    (await everyContainer()).some((container) => container.id === id),
  )
})

test.serial('a client may list sagas and no more', async (t) => {
  await t.notThrowsAsync(ask(client.bus, verbs.sagaList, {}))
  for (const verb of [
    verbs.sagaShow,
    verbs.sagaRetry,
    verbs.sagaSkip,
    verbs.sagaAbort,
    verbs.sagaRebuild,
    verbs.nodeClean,
  ]) {
    const input = { container: 'x', step: 'storage' }
    const error = await t.throwsAsync(
      client.bus.request(verb.subject, input, { timeoutMs: 300 }),
      undefined,
      verb.subject,
    )
    t.regex(String(error?.message), /permission|no answer in time/i, verb.subject)
  }
})

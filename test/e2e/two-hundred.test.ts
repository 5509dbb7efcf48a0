import test from 'ava'
import { ulid } from 'ulid'
import { containerClient } from '../helpers/container-client.ts'
import { hostState } from '../helpers/host-state.ts'
import { eventually, startStack } from '../helpers/stack.ts'

const [count, atOnce] = [200, 8]

/** Works on the items, a few at once; answers how long each took, shortest first. */
const timed = async <T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<number[]> => {
  const rest = [...items]
  const times: number[] = []
  const worker = async () => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) {
      const begun = performance.now()
      await work(item)
      times.push(performance.now() - begun)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return times.toSorted((a, b) => a - b)
}

const summary = (what: string, times: readonly number[]): string => {
  const at = (share: number) => (times[Math.floor((times.length - 1) * share)] ?? 0).toFixed(0)
  return `${what}: median ${at(0.5)} ms, 90 % ${at(0.9)} ms, longest ${at(1)} ms`
}

test('two hundred containers come and go, eight at once, and leave the host as it was', async (t) => {
  await using stack = await startStack()
  await using client = await containerClient(stack.config)
  // The first launch makes what later ones share.
  const { id: first } = await client.create({ command: ['sleep', '1000'] })
  await client.remove(first)
  const before = await hostState(stack.config)

  const ids = Array.from({ length: count }, () => ulid())
  const begun = performance.now()
  const creates = await timed(ids, async (id) => {
    const { type } = await client.tryCreate({ id, image: 'busybox', command: ['sleep', '1000'] })
    t.is(type, 'container.running')
  })
  const created = performance.now()
  const during = await hostState(stack.config)
  t.is(during.links.length - before.links.length, count)
  t.is(during.netns.length - before.netns.length, count)
  t.is(during.subvolumes.length - before.subvolumes.length, count)
  t.is(during.files.length - before.files.length, count)
  const deleting = performance.now()
  const deletes = await timed(ids, (id) => client.remove(id))
  const deleted = performance.now()

  t.log(summary('create to running', creates), `${((count * 1000) / (created - begun)).toFixed(0)} a second`)
  t.log(summary('delete', deletes), `${((count * 1000) / (deleted - deleting)).toFixed(0)} a second`)
  t.deepEqual(await client.leaks(), [])
  const isAsBefore = async () => {
    const now = await hostState(stack.config)
    return JSON.stringify(now) === JSON.stringify(before)
  }
  // The kernel gives interfaces and namespaces back some milliseconds after the calls that ask for it.
  await eventually('the host is as before', isAsBefore, 2000).catch(() => undefined)
  t.deepEqual(await hostState(stack.config), before)
})

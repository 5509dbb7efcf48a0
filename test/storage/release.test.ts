import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readlinkSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import test from 'ava'
import { imageList, objects, release } from '../../shared/contracts/operations.ts'
import { eventually, failureOf, loopsOf, mountLine, storageStack } from './storage-stack.ts'

/** Whoever copies the mounts of this host at that moment, as any `unshare --mount` does, keeps the device a little longer. */
const isDetached = (file: string): Promise<boolean> => eventually(async () => loopsOf(file).length === 0)

test('whoever asks while a release is under way does not mount the file system again', async (t) => {
  await using stack = await storageStack()
  const asking = new AbortController()
  const ask = async () => {
    for (; !asking.signal.aborted; await nextTurn()) await stack.request(imageList, {}).catch(() => undefined)
  }
  const asked = Promise.all([ask(), ask(), ask()])
  try {
    await stack.request(release.storage, {})
  } finally {
    asking.abort()
    await asked
  }
  t.is(mountLine(stack.config.names.cowfs), undefined)
  t.true(await isDetached(stack.config.names.image))
})

test('a release that is asked for twice succeeds, and so does a look at what is being released', async (t) => {
  await using stack = await storageStack()
  const releasing = new AbortController()
  const look = async () => {
    for (; !releasing.signal.aborted; await nextTurn()) await stack.request(objects.storage, {})
  }
  const looks = Array.from({ length: 20 }, look)
  await nextTurn()
  await Promise.all([1, 2, 3].map(() => stack.request(release.storage, {}))).finally(() => releasing.abort())
  await t.notThrowsAsync(Promise.all(looks))
  t.is(mountLine(stack.config.names.cowfs), undefined)
})

test('objects names each root, and release refuses while there is one and then leaves only the file', async (t) => {
  await using stack = await storageStack()
  const { names } = stack.config
  await stack.make('alive')
  const { objects: listed } = await stack.request(objects.storage, {})
  t.deepEqual(listed.map(({ kind }) => kind).toSorted(), ['loop', 'mount', 'subvolume'])
  t.deepEqual(
    listed.filter(({ container }) => container !== null),
    [{ kind: 'subvolume', name: names.rootfs('alive'), container: 'alive' }],
  )
  t.is((await failureOf(stack.request(release.storage, {}))).code, 'busy')
  await stack.undo('alive')
  await stack.request(release.storage, {})
  t.is(mountLine(names.cowfs), undefined)
  t.true(await isDetached(names.image))
  t.true(existsSync(names.image))
  t.deepEqual((await stack.request(objects.storage, {})).objects, [])
})

test('whoever has a copy of the mounts keeps the device, and no longer', async (t) => {
  await using stack = await storageStack()
  const { image, cowfs } = stack.config.names
  const copier = spawn('unshare', ['--mount', 'sleep', '1000'], { stdio: 'ignore' })
  const ended = once(copier, 'exit')
  t.teardown(() => copier.kill('SIGKILL'))
  const [own, theirs] = ['self', copier.pid].map((pid) => () => readlinkSync(`/proc/${pid}/ns/mnt`))
  t.true(await eventually(async () => own?.() !== theirs?.()))
  await stack.request(release.storage, {})
  t.is(mountLine(cowfs), undefined)
  t.is(loopsOf(image).length, 1)
  copier.kill('SIGKILL')
  await ended
  t.true(await isDetached(image))
})

import { execFileSync } from 'node:child_process'
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { renameSubvolume, showSubvolume, snapshot, syncFileSystem } from '../../services/storage/btrfs.ts'
import { loadConfig } from '../../shared/config.ts'
import { imageImport, imageRemove } from '../../shared/contracts/operations.ts'
import { storage } from '../../shared/contracts/steps.ts'
import { createRecorder } from '../../shared/recorder.ts'
import { eventually, storageStack } from './storage-stack.ts'
import { tarOf } from './tar-builder.ts'

type Stack = Awaited<ReturnType<typeof storageStack>>

const show = (path: string) => showSubvolume(createRecorder(), path)
const readyOf = ({ config: { names } }: Stack): string[] =>
  readdirSync(names.readyRoots).flatMap((slot) =>
    readdirSync(join(names.readyRoots, slot)).map((name) => join(names.readyRoots, slot, name)),
  )
/** The identities of the images that roots are ready of. */
const imagesOf = (stack: Stack) =>
  Promise.all(readyOf(stack).map(async (path) => (await show(path)).parentUuid))
const has = (stack: Stack, count: number) => eventually(async () => readyOf(stack).length === count)

/** A root as a container of the defaults has it. */
const dispatch = (stack: Stack, id: string, image = 'busybox') =>
  stack.dispatch('do', { id, image, seccomp: 'default' })
const make = async (stack: Stack, id: string, image?: string) => {
  const outcome = await dispatch(stack, id, image)
  if ('output' in outcome) return storage.output.parse(outcome.output)
  throw new Error(JSON.stringify(outcome))
}

/** Imports an image that no other is like, and makes a root of it. */
const useImage = async (stack: Stack, name: string): Promise<string | undefined> => {
  const path = join(stack.config.root, 'image.tar')
  writeFileSync(path, tarOf([{ name: 'etc/name', body: name }]))
  const { digest } = await stack.request(imageImport, { reference: name, path })
  await make(stack, `of-${name}`, name)
  return (await show(join(stack.config.names.images, digest))).uuid
}

test('a container gets a root that was made ahead of need, with the record of its making', async (t) => {
  await using stack = await storageStack({ DOLLY_READY_ROOTS: '2', DOLLY_ROOT_SIZE: '16M' })
  const first = await make(stack, 'first')
  t.true(await has(stack, 2))
  const ready = await Promise.all(readyOf(stack).map(show))
  const outcome = await dispatch(stack, 'second')
  if (!('output' in outcome)) return t.fail(JSON.stringify(outcome))
  const { rootfs, imageDigest } = storage.output.parse(outcome.output)
  t.is(imageDigest, first.imageDigest)
  const { uuid, parentUuid } = await show(rootfs)
  t.true(ready.some((one) => one.uuid === uuid))
  t.is(parentUuid, (await show(first.rootfs)).parentUuid)
  const record = outcome.transcript.map(({ equivalent }) => equivalent)
  t.deepEqual(
    outcome.transcript.map(({ ahead }) => ahead),
    [true, undefined],
  )
  t.regex(
    record[0] ?? '',
    /^btrfs subvolume snapshot \S+\/images\/\S+ (\S+\/ready\/\d+\/\S+) && btrfs qgroup limit 16777216 \1$/,
  )
  t.regex(record[1] ?? '', /^mv --no-target-directory \S+\/ready\/\d+\/\S+ \S+\/containers\/second$/)
  t.throws(
    () => execFileSync('dd', ['if=/dev/zero', `of=${rootfs}/hog`, 'bs=1M', 'count=32'], { stdio: 'pipe' }),
    {
      message: /quota/i,
    },
  )
  t.true(await has(stack, 2), 'another takes its place')
})

test('what has a size of its own, or has it when nothing is to be ready, is made for its container', async (t) => {
  await using stack = await storageStack({ DOLLY_READY_ROOTS: '1' })
  await make(stack, 'first')
  t.true(await has(stack, 1))
  const before = readyOf(stack)
  await stack.make('sized', 'busybox', 2 ** 21)
  t.deepEqual(readyOf(stack), before)
  await using off = await storageStack({ DOLLY_READY_ROOTS: '0' })
  await make(off, 'first')
  await delay(300)
  t.deepEqual(readyOf(off), [])
  t.throws(() => loadConfig({ DOLLY_ROOT: off.config.root, DOLLY_READY_ROOTS: 'many' }), {
    message: 'cannot use DOLLY_READY_ROOTS "many": give a number',
  })
})

test('ready roots go with their image, when four others were used since, and at a restart', async (t) => {
  await using stack = await storageStack({ DOLLY_READY_ROOTS: '1' })
  const images = [await useImage(stack, 'one')]
  t.true(await has(stack, 1))
  for (const name of ['two', 'three', 'four', 'five']) images.push(await useImage(stack, name))
  t.true(await eventually(async () => (await imagesOf(stack)).includes(images[4])))
  t.deepEqual((await imagesOf(stack)).toSorted(), images.slice(1).toSorted())
  await stack.request(imageRemove, { reference: 'three' })
  t.false((await imagesOf(stack)).includes(images[2]))
  t.is(readyOf(stack).length, 3)
  await stack.restart()
  t.deepEqual(readyOf(stack), [])
  await t.notThrowsAsync(make(stack, 'again'))
})

/** Transactions that the stack's file system has written since it was mounted. */
const commitsOf = ({ config: { names } }: Stack): number => {
  const uuid = execFileSync('findmnt', ['-no', 'UUID', names.cowfs], { encoding: 'utf8' }).trim()
  const stats = readFileSync(`/sys/fs/btrfs/${uuid}/commit_stats`, 'utf8')
  return Number(/^commits (\d+)$/m.exec(stats)?.[1])
}

test('roots that are asked for at once are made together, in few transactions', async (t) => {
  await using stack = await storageStack({ DOLLY_READY_ROOTS: '2' })
  await make(stack, 'first')
  t.true(await has(stack, 2))
  const before = commitsOf(stack)
  const ids = Array.from({ length: 40 }, (_, at) => `one-of-many-${at}`)
  await Promise.all(ids.map((id) => make(stack, id)))
  const took = commitsOf(stack) - before
  t.log(`${ids.length} roots in ${took} transactions`)
  t.true(took < ids.length / 2)
  t.is(readdirSync(stack.config.names.containers).length, 1 + ids.length)
  t.true(await has(stack, 2), 'no more than that stay ready')
})

/** Makes a file in a new directory of the root, and syncs it. */
const syncFile = (rootfs: string): void => {
  mkdirSync(join(rootfs, 'data'))
  const file = openSync(join(rootfs, 'data/file'), 'w')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

test('what a container syncs commits the name that its root was given', async (t) => {
  await using stack = await storageStack({ DOLLY_READY_ROOTS: '0' })
  const { rootfs, imageDigest } = await make(stack, 'first')
  const { names } = stack.config
  const record = createRecorder()
  const ready = join(names.readyRoots, 'ready-root')
  await snapshot(record, join(names.images, imageDigest), ready)
  await syncFileSystem(record, names.cowfs)
  /** Of the transaction that the disk has, and whether files were synced without one since. */
  const onDisk = () => {
    const shown = execFileSync('btrfs', ['inspect-internal', 'dump-super', names.image], { encoding: 'utf8' })
    const field = (name: string) => Number(new RegExp(`^${name}\\s+(\\d+)$`, 'm').exec(shown)?.[1])
    return { generation: field('generation'), isLogged: field('log_root') > 0 }
  }
  const before = onDisk()
  syncFile(rootfs)
  t.deepEqual(onDisk(), { ...before, isLogged: true }, 'elsewhere a file is synced without the rest')
  await renameSubvolume(record, ready, names.rootfs('synced'))
  t.is(onDisk().generation, before.generation, 'a rename waits for no disk')
  syncFile(names.rootfs('synced'))
  t.deepEqual(onDisk(), { generation: before.generation + 1, isLogged: false })
})

test('a root is not put over what is there', async (t) => {
  await using stack = await storageStack({ DOLLY_READY_ROOTS: '0' })
  const [one, other] = [await stack.make('one'), await stack.make('other')]
  await t.throwsAsync(renameSubvolume(createRecorder(), one.rootfs, other.rootfs), {
    message: /not empty/,
  })
  t.is(readdirSync(stack.config.names.containers).length, 2)
})

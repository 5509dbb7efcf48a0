import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { imageImport, imageList, imageRemove } from '../../shared/contracts/operations.ts'
import { forgetRemoved } from '../../services/storage/removed-images.ts'
import { createRecorder } from '../../shared/recorder.ts'
import { failureOf, storageStack } from './storage-stack.ts'
import { tarOf } from './tar-builder.ts'

const importOf = (stack: Awaited<ReturnType<typeof storageStack>>, reference: string) => {
  const path = join(stack.config.root, 'image.tar')
  writeFileSync(path, tarOf([{ name: 'etc/name', body: 'dolly\n' }]))
  return stack.request(imageImport, { reference, path })
}

test('an image goes with its last tag, or by digest with all of them', async (t) => {
  await using stack = await storageStack()
  const { digest } = await importOf(stack, 'one')
  await importOf(stack, 'two')
  t.deepEqual(await stack.request(imageRemove, { reference: 'one' }), {
    untagged: ['one:latest'],
    deleted: [],
  })
  t.deepEqual(await stack.request(imageRemove, { reference: 'two' }), {
    untagged: ['two:latest'],
    deleted: [digest],
  })
  t.false(existsSync(join(stack.config.names.images, digest)))
  await importOf(stack, 'one')
  await importOf(stack, 'two')
  t.deepEqual(await stack.request(imageRemove, { reference: digest.slice(7, 19) }), {
    untagged: ['one:latest', 'two:latest'],
    deleted: [digest],
  })
  t.deepEqual(readdirSync(stack.config.names.images).length, 2, 'busybox and its metadata')
  const absent = await failureOf(stack.request(imageRemove, { reference: 'one' }))
  t.is(absent.code, 'image_not_found')
})

test('removing by something that is no reference finds nothing', async (t) => {
  await using stack = await storageStack()
  for (const reference of ['', '../images', '..', 'sha256:', 'a'.repeat(300), '%', '/etc/passwd']) {
    t.is((await failureOf(stack.request(imageRemove, { reference }))).code, 'image_not_found', reference)
  }
  t.is((await stack.request(imageList, {})).images.length, 1)
})

test('an image that containers were made of is remembered when it is removed, for as long as there are any', async (t) => {
  await using stack = await storageStack()
  const { names } = stack.config
  const importImage = () => importOf(stack, 'one')
  const remove = () => stack.request(imageRemove, { reference: 'one' })
  const remembered = () => readdirSync(names.removedImages).length
  const forget = () => forgetRemoved(names, createRecorder(), 0)
  await importImage()
  const first = await stack.make('orphan', 'one')
  await remove()
  t.is(readFileSync(join(first.rootfs, 'etc/name'), 'utf8'), 'dolly\n', 'a container outlives its image')
  t.deepEqual(await stack.make('orphan', 'one'), first)
  await importImage()
  t.deepEqual(await stack.make('orphan', 'one'), first, 'though there is another image of its digest')
  await stack.make('other', 'one')
  await stack.undo('other')
  await remove()
  t.is(remembered(), 2, 'a container of the one that has just gone may be being made')
  await forget()
  t.deepEqual(await stack.make('orphan', 'one'), first)
  t.is(remembered(), 1)
  await stack.undo('orphan')
  await forget()
  t.is(remembered(), 0)
})

test('an image is removed where there is no space left, and its containers are made again', async (t) => {
  await using stack = await storageStack({ DOLLY_COWFS_SIZE: '256M', DOLLY_ROOT_SIZE: '256M' })
  await importOf(stack, 'one')
  const made = await stack.make('full', 'one')
  const write = (name: string) => writeFileSync(join(made.rootfs, name), randomBytes(1 << 20))
  t.throws(() => Array.from({ length: 300 }, (_, n) => write(`f${n}`)), { code: 'ENOSPC' })
  execFileSync('/usr/bin/btrfs', ['filesystem', 'sync', stack.config.names.cowfs])
  t.throws(() => writeFileSync(join(stack.config.names.cowfs, 'more'), 'more'), { code: 'ENOSPC' })
  const { deleted } = await stack.request(imageRemove, { reference: 'one' })
  t.is(deleted.length, 1)
  t.deepEqual(await stack.make('full', 'one'), made)
})

import { existsSync, readFileSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { imageImport, imageList, imageRemove } from '../../shared/contracts/operations.ts'
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
  const age = () => {
    for (const name of readdirSync(names.removedImages)) utimesSync(join(names.removedImages, name), 0, 0)
  }
  await importImage()
  const first = await stack.make('orphan', 'one')
  await remove()
  t.is(readFileSync(join(first.rootfs, 'etc/name'), 'utf8'), 'dolly\n', 'a container outlives its image')
  t.deepEqual(await stack.make('orphan', 'one'), first)
  await importImage()
  t.deepEqual(await stack.make('orphan', 'one'), first, 'though there is another image of its digest')
  await stack.make('other', 'one')
  await stack.undo('other')
  age()
  await remove()
  t.deepEqual(await stack.make('orphan', 'one'), first)
  t.is(remembered(), 2, 'a container of the one that has just gone may be being made')
  age()
  await stack.undo('orphan')
  await importImage()
  await remove()
  t.is(remembered(), 1)
})

import { existsSync, readdirSync, writeFileSync } from 'node:fs'
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

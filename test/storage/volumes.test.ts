import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { imageImport, volumeCreate, volumeInspect, volumeRemove } from '../../shared/contracts/operations.ts'
import { failureOf, storageStack } from './storage-stack.ts'
import { tarOf } from './tar-builder.ts'

const at = (source: string, destination: string) => ({ type: 'volume', source, destination, options: [] })

test('a new volume gets the image’s content, wherever the image’s links would lead on the host', async (t) => {
  await using stack = await storageStack()
  const { names, root } = stack.config
  mkdirSync(join(root, 'victim'))
  writeFileSync(join(root, 'victim/secret'), 'host')
  const tar = join(root, 'hostile.tar')
  writeFileSync(
    tar,
    tarOf([
      { name: 'usr/', type: '5' },
      { name: 'usr/mine', body: 'image' },
      { name: 'absolute', type: '2', link: '/usr' },
      { name: 'out', type: '2', link: `../../../../../../../../${root}/victim` },
    ]),
  )
  await stack.request(imageImport, { reference: 'hostile', path: tar })
  const mounts = [at('one', '/absolute'), at('two', '/out'), at('three', '/nowhere')]
  await stack.send('do', { id: 'x', image: 'hostile', mounts })
  const listed = ['one', 'two', 'three'].map((name) => readdirSync(names.volume(name)))
  t.deepEqual(listed, [['mine'], [], []])
  await stack.send('do', { id: 'x', image: 'hostile', mounts })
  t.deepEqual((await stack.request(volumeInspect, { name: 'one' })).containers, ['x'])
  t.is((await failureOf(stack.request(volumeRemove, { name: 'one' }))).code, 'conflict')
  await stack.undo('x')
  await stack.undo('x')
  t.is(readFileSync(join(names.volume('one'), 'mine'), 'utf8'), 'image', 'it outlives its container')
  await stack.request(volumeRemove, { name: 'one' })
  t.false(existsSync(names.volume('one')))
  t.is((await failureOf(stack.request(volumeRemove, { name: 'one' }))).code, 'not_found')
})

test('one that was made ahead keeps its labels and size, and what someone has put in it', async (t) => {
  await using stack = await storageStack()
  const { names } = stack.config
  const labels = { class: 'c7' }
  for (const name of ['empty', 'filled'])
    await stack.request(volumeCreate, { name, labels, sizeBytes: 32 * 2 ** 20 })
  writeFileSync(join(names.volume('filled'), 'own'), '')
  await stack.send('do', { id: 'x', image: 'busybox', mounts: [at('empty', '/bin'), at('filled', '/bin')] })
  t.true(readdirSync(names.volume('empty')).includes('busybox'))
  t.deepEqual(readdirSync(names.volume('filled')), ['own'])
  t.like(await stack.request(volumeInspect, { name: 'empty' }), { labels, sizeBytes: 32 * 2 ** 20 })
  const again = await stack.request(volumeCreate, { name: 'empty' })
  t.deepEqual(again.labels, labels, 'the one that is there is the answer')
})

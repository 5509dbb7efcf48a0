import { execFileSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import test from 'ava'
import { importImage } from '../../services/storage/image-import.ts'
import { imageImport, imageList, imageUpload } from '../../shared/contracts/operations.ts'
import type { FailureCode } from '../../shared/failure.ts'
import { createRecorder } from '../../shared/recorder.ts'
import { failureOf, storageStack } from './storage-stack.ts'
import { type Entry, paxOf, tarOf } from './tar-builder.ts'

type Stack = Awaited<ReturnType<typeof storageStack>>

const honest: Entry[] = [
  { name: './', type: '5' },
  { name: 'bin/', type: '5' },
  { name: 'bin/tool', body: '#!/bin/sh\n', mode: 0o4755 },
  { name: 'bin/link', type: '2', link: '/bin/tool' },
  { name: 'etc/name', body: 'dolly\n', mode: 0o640 },
]

const fileIn = (stack: Stack, content: Buffer | string, name = 'image.tar') => {
  const path = join(stack.config.root, name)
  writeFileSync(path, content)
  return path
}

const importOf = (stack: Stack, content: Buffer | string, reference = 'test') =>
  stack.request(imageImport, { reference, path: fileIn(stack, content) })

test('an imported tar becomes a read-only image that containers start from', async (t) => {
  await using stack = await storageStack()
  const path = fileIn(stack, tarOf(honest))
  const config = { Cmd: ['/bin/tool'], Env: ['A=1'] }
  const image = await stack.request(imageImport, { reference: 'team/tool:1.0', path, config })
  t.regex(image.digest, /^sha256:[0-9a-f]{64}$/)
  t.true(image.digest.endsWith(execFileSync('/usr/bin/sha256sum', [path], { encoding: 'utf8' }).slice(0, 64)))
  t.deepEqual([image.tags, image.config], [['team/tool:1.0'], config])
  const { rootfs, imageConfig } = await stack.make('one', 'team/tool:1.0')
  t.deepEqual(imageConfig, config)
  t.is(readFileSync(join(rootfs, 'etc/name'), 'utf8'), 'dolly\n')
  t.is(statSync(join(rootfs, 'etc/name')).mode & 0o7777, 0o640)
  t.is(statSync(join(rootfs, 'bin/tool')).mode & 0o7777, 0o4755)
  t.true(lstatSync(join(rootfs, 'bin/link')).isSymbolicLink())
})

test('a tar may be sent in pieces, each of which may come twice, and is gone once it was imported', async (t) => {
  await using stack = await storageStack()
  const tar = tarOf(honest)
  const upload = 'ab'.repeat(16)
  const send = (offset: number, end: number) =>
    stack.request(imageUpload, { upload, offset, data: tar.subarray(offset, end).toString('base64') })
  t.deepEqual(await send(0, 1000), { offset: 1000 })
  t.deepEqual(await send(0, 1000), { offset: 1000 })
  t.is((await failureOf(send(1001, tar.length))).code, 'conflict')
  await send(500, 1500)
  await send(1500, tar.length)
  const { digest } = await stack.request(imageImport, { reference: 'sent', upload })
  t.is(digest, (await importOf(stack, tar)).digest)
  t.is((await failureOf(stack.request(imageImport, { reference: 'sent', upload }))).code, 'not_found')
  t.is((await failureOf(stack.request(imageImport, { reference: 'sent' }))).code, 'invalid_message')
})

test('the same tar again is the same image with one more tag', async (t) => {
  await using stack = await storageStack()
  const first = await importOf(stack, tarOf(honest), 'one')
  const second = await importOf(stack, tarOf(honest), 'two:v2')
  t.is(second.digest, first.digest)
  t.deepEqual(second.tags, ['one:latest', 'two:v2'])
  t.is((await stack.request(imageList, {})).images.length, 2, 'busybox and this one')
})

test('tars compressed by gzip, xz, bzip2 and zstd are understood', async (t) => {
  await using stack = await storageStack()
  const plain = tarOf(honest)
  const by = (program: string) => execFileSync(`/usr/bin/${program}`, ['-c'], { input: plain })
  for (const content of [gzipSync(plain), zstdCompressSync(plain), by('xz'), by('bzip2')]) {
    const { digest } = await importOf(stack, content)
    t.is(readFileSync(join(stack.config.names.images, digest, 'etc/name'), 'utf8'), 'dolly\n')
  }
})

test('names that only a pax header can hold are kept', async (t) => {
  await using stack = await storageStack()
  const name = `etc/${'long-'.repeat(12)}ü`
  const { digest } = await importOf(
    stack,
    tarOf([...honest, paxOf('path', name), { name: 'short', body: 'x' }]),
  )
  t.true(existsSync(join(stack.config.names.images, digest, name)))
})

const nothingLeft = (stack: Stack) =>
  readdirSync(stack.config.names.images).every((name) => !name.startsWith('.')) &&
  readdirSync(stack.config.names.tags).join() === 'busybox%3Alatest'

const refusals: [string, Buffer | string, FailureCode, RegExp][] = [
  ['text', 'hello\n'.repeat(500), 'invalid_message', /it is no tar$/],
  ['an empty file', '', 'invalid_message', /it is no tar$/],
  ['a tar of nothing', Buffer.alloc(10_240), 'invalid_message', /it is no tar$/],
  ['text in gzip', gzipSync('hello'.repeat(500)), 'invalid_message', /it is no tar$/],
  [
    'a broken gzip',
    gzipSync(tarOf(honest)).subarray(0, 60),
    'invalid_message',
    /unexpected end of file|no tar/,
  ],
  ['a tar that ends early', tarOf(honest).subarray(0, 1200), 'invalid_message', /it ends early/],
  [
    'names with ..',
    tarOf([...honest, { name: '../../escaped', body: 'x' }]),
    'invalid_message',
    /contains '\.\.'/,
  ],
  [
    '"docker save"',
    tarOf([{ name: 'manifest.json', body: '[]' }]),
    'unsupported',
    /"docker save"; give the tar of "docker export"/,
  ],
]

for (const [what, content, code, message] of refusals) {
  test(`refuses ${what} and leaves nothing`, async (t) => {
    await using stack = await storageStack()
    const failure = await failureOf(importOf(stack, content))
    t.is(failure.code, code)
    t.regex(failure.message, /^cannot import \//)
    t.regex(failure.message, message)
    t.true(nothingLeft(stack))
  })
}

test('refuses paths that are relative, absent or no file', async (t) => {
  await using stack = await storageStack()
  const codeOf = async (path: string) =>
    (await failureOf(stack.request(imageImport, { reference: 'x', path }))).code
  t.is(await codeOf('image.tar'), 'invalid_message')
  t.is(await codeOf('/absent/image.tar'), 'not_found')
  t.is(await codeOf('/dev/zero'), 'invalid_message')
  t.is(await codeOf(stack.config.root), 'invalid_message')
})

test('absolute names land inside the image, and device nodes are dead on the host', async (t) => {
  await using stack = await storageStack()
  const outside = join(stack.config.root, 'outside')
  const entries: Entry[] = [
    { name: outside, body: 'absolute' },
    { name: 'disk', type: '3', device: [1, 3], mode: 0o666 },
  ]
  const { digest } = await importOf(stack, tarOf([...honest, ...entries]))
  t.false(existsSync(outside))
  const image = join(stack.config.names.images, digest)
  t.is(readFileSync(join(image, outside), 'utf8'), 'absolute')
  t.throws(() => readFileSync(join(image, 'disk')), { code: 'EACCES' })
})

const linksOut: [string, (root: string) => string][] = [
  ['an absolute', (root) => root],
  ['a relative', (root) => '../'.repeat(12) + root.slice(1)],
]

for (const [kind, linkTo] of linksOut) {
  test(`a tar that writes through ${kind} link of its own reaches nothing outside`, async (t) => {
    await using stack = await storageStack()
    const { root } = stack.config
    const through: Entry[] = [
      { name: 'out', type: '2', link: linkTo(root) },
      { name: 'out/outside', body: 'through a link' },
    ]
    const failure = await failureOf(importOf(stack, tarOf([...honest, ...through])))
    t.is(failure.code, 'invalid_message')
    t.false(existsSync(join(root, 'outside')))
    t.true(nothingLeft(stack))
  })
}

test('a tar that links to a file of the host does not get it', async (t) => {
  await using stack = await storageStack()
  const secret = join(stack.config.root, 'secret')
  writeFileSync(secret, 'secret')
  const failure = await failureOf(
    importOf(stack, tarOf([...honest, { name: 'stolen', type: '1', link: secret }])),
  )
  t.is(failure.code, 'invalid_message')
  t.is(statSync(secret).nlink, 1)
  t.true(nothingLeft(stack))
})

test('a bomb is stopped at the limit of bytes, a million entries at theirs', async (t) => {
  await using stack = await storageStack()
  const input = (content: Buffer) => ({ reference: 'bomb', path: fileIn(stack, content), config: {} })
  const limits = { maxBytes: 8 * 2 ** 20, maxEntries: 100, timeoutMs: 30_000 }
  const zeros = gzipSync(tarOf([...honest, { name: 'zeros', body: Buffer.alloc(64 * 2 ** 20) }]))
  const big = await failureOf(importImage(stack.config, input(zeros), createRecorder(), limits))
  t.is(big.code, 'no_space')
  t.regex(big.message, /it holds more than 8 MiB$/)
  const many = tarOf(Array.from({ length: 5000 }, (_, index) => ({ name: `f${index}` })))
  const crowd = await failureOf(importImage(stack.config, input(many), createRecorder(), limits))
  t.is(crowd.code, 'no_space')
  t.regex(crowd.message, /it has more than 100 entries$/)
  const slow = await failureOf(
    importImage(stack.config, input(zeros), createRecorder(), { ...limits, timeoutMs: 1 }),
  )
  t.is(slow.code, 'timeout')
  t.true(nothingLeft(stack))
})

test('an import that the file system cannot hold says so and gives the space back', async (t) => {
  await using stack = await storageStack({ DOLLY_COWFS_SIZE: '256M' })
  const failure = await failureOf(
    importOf(stack, tarOf([...honest, { name: 'big', body: Buffer.alloc(400 * 2 ** 20, 1) }])),
  )
  t.is(failure.code, 'no_space')
  t.true(nothingLeft(stack))
})

test('imports of the same tar at the same time make one image', async (t) => {
  await using stack = await storageStack()
  const path = fileIn(stack, tarOf(honest))
  const images = await Promise.all(
    ['a', 'b', 'c'].map((reference) => stack.request(imageImport, { reference, path })),
  )
  t.is(new Set(images.map(({ digest }) => digest)).size, 1)
  t.deepEqual(images.at(-1)?.tags, ['a:latest', 'b:latest', 'c:latest'])
})

test('a name of many slashes is refused before the import, and finds no image', async (t) => {
  await using stack = await storageStack()
  const reference = Array(100).fill('a').join('/')
  const failure = await failureOf(importOf(stack, tarOf(honest), reference))
  t.is(failure.code, 'invalid_message')
  t.regex(failure.message, /it is too long/)
  t.true(nothingLeft(stack))
  t.is((await failureOf(stack.make('x', reference))).code, 'image_not_found')
})

test('a symbolic link to a tar is followed to the tar', async (t) => {
  await using stack = await storageStack()
  const link = join(stack.config.root, 'link.tar')
  symlinkSync(fileIn(stack, tarOf(honest)), link)
  await t.notThrowsAsync(stack.request(imageImport, { reference: 'linked', path: link }))
})

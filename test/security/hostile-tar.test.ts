import { type BigIntStats, lstatSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { crc32, gzipSync } from 'node:zlib'
import test from 'ava'
import { importImage, importLimits } from '../../services/storage/image-import.ts'
import { imageImport } from '../../shared/contracts/operations.ts'
import { createRecorder, run } from '../../shared/recorder.ts'
import { failureOf, mountLine, storageStack } from '../storage/storage-stack.ts'
import { type Entry, headerOf, tarOf } from '../storage/tar-builder.ts'

type Stack = Awaited<ReturnType<typeof storageStack>>
const mebibyte = 2 ** 20
const end = Buffer.alloc(1024)

const importOf = (stack: Stack, content: Buffer, limits = importLimits) => {
  const path = join(stack.config.root, 'hostile.tar')
  writeFileSync(path, content)
  return importImage(stack.config, { reference: 'hostile', path, config: {} }, createRecorder(), limits)
}
const nothingLeft = (stack: Stack) =>
  readdirSync(stack.config.names.images).every((name) => !name.startsWith('.')) &&
  readdirSync(stack.config.names.tags).join() === 'busybox%3Alatest'

/** Parts in a gzip stream of many members, as small as each is alone. */
const gzipped = (parts: readonly (readonly [count: number, part: Buffer])[]): Buffer =>
  Buffer.concat(
    parts.flatMap(([count, part]) => {
      const member = gzipSync(part)
      return Array.from({ length: count }, () => member)
    }),
  )

test('ten gigabytes of zeros are stopped where the others still have room, and given back', async (t) => {
  await using stack = await storageStack({ DOLLY_COWFS_SIZE: '256M', DOLLY_ROOT_SIZE: '64M' })
  const { rootfs } = await stack.make('neighbour')
  const zeros = Array.from(
    { length: 10 },
    (_, index) =>
      [
        [1, headerOf({ name: `zeros-${index}` }, 2 ** 30)],
        [1024, Buffer.alloc(mebibyte)],
      ] as const,
  )
  const bomb = gzipped([...zeros.flat(), [1, end]])
  t.true(bomb.length < 20 * mebibyte)
  const failure = await failureOf(importOf(stack, bomb))
  t.is(failure.code, 'no_space')
  t.regex(failure.message, /it holds more than \d+ MiB$/)
  writeFileSync(join(rootfs, 'mine'), Buffer.alloc(8 * mebibyte, 1))
  t.true(nothingLeft(stack))
  await stack.undo('neighbour')
})

test('a million entries are stopped at the limit, whatever their names are', async (t) => {
  await using stack = await storageStack()
  const thousand = Buffer.concat(
    Array.from({ length: 1000 }, (_, index) => headerOf({ name: `entry\n${index}` }, 0)),
  )
  const crowd = gzipped([
    [1000, thousand],
    [1, end],
  ])
  const failure = await failureOf(importOf(stack, crowd, { ...importLimits, maxEntries: 5000 }))
  t.is(failure.code, 'no_space')
  t.regex(failure.message, /it has more than 5000 entries$/)
  t.true(nothingLeft(stack))
})

for (const type of ['x', 'L'] as const)
  test(`a name that says to be 600 megabytes long (${type}) takes no such memory`, async (t) => {
    await using stack = await storageStack()
    const long = gzipped([
      [1, headerOf({ name: 'long', type }, 600 * mebibyte)],
      [600, Buffer.alloc(mebibyte, '9')],
      [1, Buffer.concat([headerOf({ name: 'short' }, 0), end])],
    ])
    const failure = await failureOf(importOf(stack, long))
    t.is(failure.code, 'invalid_message')
    t.regex(failure.message, /tar: memory exhausted/)
    t.true(nothingLeft(stack))
  })

/** Of a file of xz, the byte that says how large the decoder's dictionary is, and the sum over it. */
const withDictionary = (xz: Buffer, code: number): Buffer => {
  const changed = Buffer.from(xz)
  const [start, size] = [12, (xz[12]! + 1) * 4]
  const place = changed.indexOf(Buffer.from([0x21, 0x01]), start) + 2
  changed[place] = code
  changed.writeUInt32LE(crc32(changed.subarray(start, start + size - 4)), start + size - 4)
  return changed
}

test('a file of xz that asks for four gigabytes to be decompressed is refused', async (t) => {
  await using stack = await storageStack()
  const honest = execFileSync('xz', ['-c'], { input: tarOf([{ name: 'a', body: 'x'.repeat(9000) }]) })
  const largest = 40
  const failure = await failureOf(importOf(stack, withDictionary(honest, largest)))
  t.is(failure.code, 'invalid_message')
  t.regex(failure.message, /Memory usage limit reached/)
  await t.notThrowsAsync(importOf(stack, withDictionary(honest, 24)), 'sixteen megabytes')
})

const special: Entry[] = [
  { name: 'block', type: '4', device: [7, 0], mode: 0o666 },
  { name: 'character', type: '3', device: [1, 1], mode: 0o666 },
  { name: 'fifo', type: '6', mode: 0o666 },
  { name: 'suid', mode: 0o6755, body: '#!/bin/sh\n' },
]

test('devices are dead, set-uid files ordinary ones, and neither is within reach of users', async (t) => {
  await using stack = await storageStack()
  const { digest } = await importOf(stack, tarOf(special))
  const inside = (name: string) => join(stack.config.names.images, digest, name)
  for (const name of ['block', 'character']) t.throws(() => readFileSync(inside(name)), { code: 'EACCES' })
  t.true(lstatSync(inside('fifo')).isFIFO())
  t.is(statSync(inside('suid')).mode & 0o7777, 0o6755, 'for the containers that allow new privileges')
  const options = mountLine(stack.config.names.cowfs)?.[5]?.split(',') ?? []
  t.true(options.includes('nosuid') && options.includes('nodev'))
  const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups']
  await t.throwsAsync(run('setpriv', [...nobody, inside('suid')]), { message: /Permission denied/ })
})

const strangeNames = [
  'new\nline',
  '\u001b]0;title\u0007\u001b[2J',
  '-rf',
  '--checkpoint-action=exec=reboot',
  ' ',
  'trailing ',
  'back\\slash',
  '\u007f\u0001',
  'x'.repeat(99),
  '\u00ff\u00fe\u0080',
  '*',
  '$(reboot)',
  'a/./b',
  'deep/'.repeat(18) + 'file',
]
const refusedNames = ['..', 'a/../../b', '../x', 'a/..', './../x', '/..']

test('bad names are kept as they are or refused in one line without a control character', async (t) => {
  await using stack = await storageStack()
  const stats = (path: string): BigIntStats | undefined =>
    lstatSync(path, { bigint: true, throwIfNoEntry: false })
  const { digest } = await importOf(stack, tarOf(strangeNames.map((name) => ({ name, body: name }))))
  const image = Buffer.from(join(stack.config.names.images, digest, '/'))
  for (const name of strangeNames)
    t.is(
      readFileSync(Buffer.concat([image, Buffer.from(name, 'latin1')]), 'utf8'),
      name,
      JSON.stringify(name),
    )
  for (const name of refusedNames) {
    const failure = await failureOf(importOf(stack, tarOf([{ name, body: `\u001b[2J${name}` }])))
    t.is(failure.code, 'invalid_message', name)
    t.false(
      [...failure.message].some((character) => character < ' '),
      failure.message,
    )
    t.is(stats(join(stack.config.names.images, 'b')), undefined)
  }
  const hidden = tarOf([{ name: '\u001b[2J/../x', body: 'x' }])
  const said = (await failureOf(importOf(stack, hidden))).message
  t.false(
    [...said].some((character) => character < ' '),
    JSON.stringify(said),
  )
})

test('what is imported by the service has the same limits', async (t) => {
  await using stack = await storageStack({ DOLLY_COWFS_SIZE: '256M', DOLLY_ROOT_SIZE: '64M' })
  const path = join(stack.config.root, 'bomb')
  writeFileSync(
    path,
    gzipped([
      [1, headerOf({ name: 'zeros' }, 2 ** 30)],
      [1024, Buffer.alloc(mebibyte)],
      [1, end],
    ]),
  )
  const failure = await failureOf(stack.request(imageImport, { reference: 'bomb', path }))
  t.is(failure.code, 'no_space')
})

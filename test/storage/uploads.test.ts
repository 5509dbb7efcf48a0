import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import test from 'ava'
import { imageImport, imageUpload } from '../../shared/contracts/operations.ts'
import { failureOf, storageStack } from './storage-stack.ts'
import { tarOf } from './tar-builder.ts'

test('a tar is taken in pieces that may come twice, and not where the host has hardly any space left', async (t) => {
  await using stack = await storageStack()
  const { uploads } = stack.config.names
  const upload = 'a'.repeat(32)
  const tar = tarOf([{ name: 'etc/name', body: 'dolly\n' }])
  const half = tar.length / 2
  const send = (from: number, to: number) =>
    stack.request(imageUpload, { upload, offset: from, data: tar.subarray(from, to).toString('base64') })
  for (const [from, to] of [
    [0, half],
    [half, tar.length],
    [half, tar.length],
  ] as const)
    t.deepEqual(await send(from, to), { offset: to })
  const { tags } = await stack.request(imageImport, { reference: 'sent', upload })
  t.deepEqual(tags, ['sent:latest'])

  mkdirSync(uploads, { recursive: true })
  execFileSync('/usr/bin/mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', uploads])
  const failure = await failureOf(send(0, half)).finally(() => execFileSync('/usr/bin/umount', [uploads]))
  t.is(failure.code, 'no_space')
  t.regex(failure.message, /left in .*64 MiB needed/)
})

import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { nextPause } from '../../services/cli/stack/keep-running.ts'
import { boundLog, lastWords, openLog } from '../../services/cli/stack/service-log.ts'

const logFile = async (): Promise<{ file: string } & AsyncDisposable> => {
  const directory = await mkdtemp(join(tmpdir(), 'dolly-test-'))
  return { file: join(directory, 'a.log'), [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) }
}

test('a log that has grown too big keeps one earlier part, and its writer goes on at the beginning', async (t) => {
  await using log = await logFile()
  const writer = await openLog(log.file)
  await writer.write('x'.repeat(100))
  await boundLog(log.file, 99)
  await writer.write('after')
  await writer.close()
  t.is(await readFile(log.file, 'utf8'), 'after')
  t.is((await stat(`${log.file}.1`)).size, 100)
})

test('a log within its bound, or not there yet, is left alone', async (t) => {
  await using log = await logFile()
  await boundLog(log.file, 99)
  await writeFile(log.file, 'short')
  await boundLog(log.file, 99)
  t.is(await readFile(log.file, 'utf8'), 'short')
})

test('the last words are the reason a program gave, not the frame of its stack', async (t) => {
  await using log = await logFile()
  await writeFile(log.file, 'Error: of an earlier run\n')
  const { size: from } = await stat(log.file)
  t.is(await lastWords(log.file, { from }), '')
  await appendFile(
    log.file,
    '{"level":50,"msg":"cannot ready the host","reason":"no btrfs"}\n{"level":30,"msg":"stopping"}\n',
  )
  t.is(await lastWords(log.file, { from }), 'cannot ready the host: no btrfs')
  await appendFile(log.file, 'TypeError: x is not a function\n    at main.ts:1\n\nNode.js v24\n')
  t.is(await lastWords(log.file, { from }), 'TypeError: x is not a function')
})

test('the pause before a restart doubles up to five seconds and begins anew after ten of health', (t) => {
  const pauses = [100]
  while (pauses.length < 9) pauses.push(nextPause(pauses.at(-1) ?? 0, 50))
  t.deepEqual(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000])
  t.is(nextPause(5000, 10_000), 100)
})

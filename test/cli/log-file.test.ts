import { appendFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { type LogLine, logTime, parseLogLine } from '../../services/namespace/streams/log-line.ts'
import { followLog, logLines, readLog, tailOffset } from '../../services/namespace/streams/log-reader.ts'
import { temporaryConfig } from '../helpers/host.ts'

const line = (text: string, { stream = 'stdout', tag = 'F' } = {}) =>
  `2026-01-02T03:04:05.000000006+00:00 ${stream} ${tag} ${text}\n`

const texts = async (lines: AsyncIterable<LogLine>): Promise<string[]> => {
  const found: string[] = []
  for await (const { text } of lines) found.push(text)
  return found
}

test('a line has its time, stream, text and whether it is whole', (t) => {
  t.deepEqual(parseLogLine('2026-01-02T03:04:05.6+00:00 stderr P half  a line '), {
    time: '2026-01-02T03:04:05.6+00:00',
    stream: 'stderr',
    text: 'half  a line ',
    complete: false,
  })
  t.is(parseLogLine('2026-01-02T03:04:05.6+00:00 stdout F ')?.text, '')
  t.is(parseLogLine('2026-01-02T03:04:05.6+00:00 stdo'), undefined, 'a torn line is none')
  t.is(logTime('2026-01-02T03:04:05.000000006+00:00'), '2026-01-02T03:04:05.000000006Z')
})

test('reading ends with what is there', async (t) => {
  await using temporary = await temporaryConfig()
  const file = join(temporary.config.root, 'log')
  await writeFile(file, `${line('one')}${line('zwö')}${line('three').slice(0, -1)}`)
  t.deepEqual(await texts(logLines(readLog(file))), ['one', 'zwö'])
  await t.throwsAsync(texts(logLines(readLog(`${file}.absent`))), {
    message: /cannot read the log .*: it is not on this host/,
  })
})

test('the last lines begin after those that are whole', async (t) => {
  await using temporary = await temporaryConfig()
  const file = join(temporary.config.root, 'log')
  await writeFile(
    file,
    `${line('one')}${line('t', { tag: 'P' })}${line('wo')}${line('three')}${line('cut').slice(0, -1)}`,
  )
  const last = async (tail: number) => texts(logLines(readLog(file, await tailOffset(file, tail))))
  t.deepEqual(await last(0), [])
  t.deepEqual(await last(1), ['three'])
  t.deepEqual(await last(2), ['t', 'wo', 'three'])
  t.deepEqual(await last(9), ['one', 't', 'wo', 'three'])
})

test('following goes through growth and rotation to the last line', async (t) => {
  await using temporary = await temporaryConfig()
  const file = join(temporary.config.root, 'log')
  await writeFile(file, line('first'))
  const ended = new AbortController()
  const script: Record<string, () => Promise<void>> = {
    first: () => appendFile(file, `${line('se', { tag: 'P' })}${line('cond')}`),
    cond: async () => {
      await writeFile(`${file}.new`, line('third'))
      await rename(`${file}.new`, file)
    },
    third: async () => {
      await appendFile(file, line('last'))
      ended.abort()
    },
  }
  const found: string[] = []
  for await (const { text } of logLines(followLog(file, ended.signal))) {
    found.push(text)
    await script[text]?.()
  }
  t.deepEqual(found, ['first', 'se', 'cond', 'third', 'last'])
})

import { Writable } from 'node:stream'
import test from 'ava'
import { waitFor } from '../../services/namespace/bounded-wait.ts'
import { type StreamSource, openStreams } from '../../services/namespace/streams/open-streams.ts'
import type { Frame } from '../../services/namespace/streams/stdcopy.ts'
import { execStart, processExec } from '../../shared/contracts/operations.ts'
import {
  streamAttach,
  streamChunkBytes,
  streamClose,
  streamLogs,
  streamRead,
  streamWrite,
} from '../../shared/contracts/streams.ts'
import { eventually } from '../helpers/stack.ts'
import { type NamespaceTestHost, namespaceHost } from './namespace-host.ts'

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const textOf = (frames: { stream: string; data: string }[], from = 'stdout'): string =>
  frames
    .filter(({ stream }) => stream === from)
    .map(({ data }) => Buffer.from(data, 'base64').toString())
    .join('')

/** An exec in a new container, with its streams open and running. */
const running = async (host: NamespaceTestHost, args: string[]) => {
  await host.make('x')
  const { execId } = await host.request(processExec, { id: 'x', args, stdin: true })
  const { stream } = await host.request(streamAttach, { id: 'x', execId })
  await host.request(execStart, { id: 'x', execId })
  return stream
}

/** Reads until the end; answers all of it. */
const readAll = async (host: NamespaceTestHost, stream: string) => {
  const all = []
  for (let [after, over] = [0, false]; !over;) {
    const { frames, next, ended } = await host.request(streamRead, { stream, after })
    all.push(...frames)
    ;[after, over] = [next, ended]
  }
  return all
}

test('what was read can be read again until it is acknowledged, what was written is written once', async (t) => {
  await using host = await namespaceHost()
  const stream = await running(host, ['sh', '-c', 'cat; echo odd >&2'])
  const writing = { stream, offset: 0, data: base64('hello\n') }
  t.deepEqual(await host.request(streamWrite, writing), { offset: 6, closed: false })
  t.deepEqual(await host.request(streamWrite, writing), { offset: 6, closed: false }, 'its answer was lost')
  const longer = { stream, offset: 3, data: base64('lo\nyou\n') }
  t.is((await host.request(streamWrite, longer)).offset, 10, 'only what is new of it')
  await t.throwsAsync(host.request(streamWrite, { stream, offset: 99 }), { code: 'conflict' })
  await host.request(streamWrite, { stream, offset: 10, end: true })

  t.is(textOf(await readAll(host, stream)), 'hello\nyou\n')
})

test('a read that is asked again has the same answer; what is acknowledged is gone', async (t) => {
  await using host = await namespaceHost()
  const stream = await running(host, ['sh', '-c', 'echo one; read line; echo two'])
  const first = await host.request(streamRead, { stream, after: 0 })
  t.is(textOf(first.frames), 'one\n')
  t.deepEqual(await host.request(streamRead, { stream, after: 0 }), first)
  const part = await host.request(streamRead, { stream, after: 2 })
  t.is(textOf(part.frames), 'e\n', 'from within')
  await t.throwsAsync(host.request(streamRead, { stream, after: 0 }), { code: 'conflict' })
  await t.throwsAsync(host.request(streamRead, { stream, after: 99 }), { code: 'conflict' })
  await host.request(streamClose, { stream })
  await t.throwsAsync(host.request(streamRead, { stream, after: 4 }), {
    code: 'not_found',
    message: /not open any more/,
  })
})

test('a log that is followed ends with its input, one that is not where it is', async (t) => {
  await using host = await namespaceHost()
  await host.make('x', { args: ['sh', '-c', 'echo one; echo two; sleep 1000'] })
  const whole = async () => {
    const { stream } = await host.request(streamLogs, { id: 'x' })
    return textOf(await readAll(host, stream))
  }
  await eventually('it has written', async () => / two\n/.test(await whole()))
  t.regex(await whole(), /^\S+ stdout F one\n\S+ stdout F two\n$/)
  const { stream } = await host.request(streamLogs, { id: 'x', follow: true, tail: 1 })
  const { frames, ended } = await host.request(streamRead, { stream, after: 0 })
  t.regex(textOf(frames), /^\S+ stdout F two\n$/)
  t.false(ended)
  const rest = host.request(streamRead, { stream, after: Buffer.byteLength(textOf(frames)) })
  await host.request(streamWrite, { stream, offset: 0, end: true })
  t.true((await rest).ended)
  await t.throwsAsync(host.request(streamLogs, { id: 'nobody' }), { code: 'not_found' })
})

/** Writes without end, and counts. */
const endless = () => {
  const counted = { bytes: 0, stopped: false }
  const write = async function* (): AsyncGenerator<Frame> {
    for (; !counted.stopped; counted.bytes += 10_000) yield { stream: 'stdout', data: Buffer.alloc(10_000) }
  }
  const source: StreamSource = {
    output: write(),
    input: new Writable({ write: (_chunk, _encoding, done) => done() }),
    stop: () => (counted.stopped = true),
  }
  return { counted, source }
}

test('whoever writes waits for a reader that does not read on', async (t) => {
  const streams = openStreams()
  const { counted, source } = endless()
  const name = await streams.open(async () => source)
  const most = 2 ** 20
  t.true(await waitFor(() => counted.bytes >= most - 10_000 || undefined, 10_000))
  const { next } = await streams.read(name, 0)
  t.is(next, streamChunkBytes)
  const taken = counted.bytes
  t.true(taken <= most, `${taken} bytes`)
  for (let asked = 0; asked < 10; asked++) await streams.read(name, 0)
  t.is(counted.bytes, taken)
  await streams.read(name, next)
  t.true(await waitFor(() => counted.bytes > taken || undefined, 10_000))
  streams.closeAll()
  t.true(counted.stopped)
})

test('so many streams are open at most, and one that nobody asks for is closed', async (t) => {
  const streams = openStreams({ most: 1, idleMs: 100 })
  const { counted, source } = endless()
  await streams.open(async () => source)
  await t.throwsAsync(
    streams.open(async () => endless().source),
    { code: 'busy', message: /1 streams open/ },
  )
  t.true(await waitFor(() => counted.stopped || undefined, 10_000))
  await streams.open(async () => endless().source)
  streams.closeAll()
})

import { randomBytes } from 'node:crypto'
import type { Writable } from 'node:stream'
import { streamIdleMs, streamWaitMs } from '../../../shared/contracts/streams.ts'
import { Failure } from '../../../shared/failure.ts'
import { outputBuffer } from './output-buffer.ts'
import type { Frame } from './stdcopy.ts'
import { streamInput } from './stream-input.ts'

/** What a stream reads from and writes to. */
export interface StreamSource {
  output: AsyncIterable<Frame>
  input: Writable
  resize?: (size: { rows: number; columns: number }) => Promise<void>
  /** Lets go of it; its output ends soon. */
  stop: () => void
}

interface OpenStream {
  source: StreamSource
  output: ReturnType<typeof outputBuffer>
  input: ReturnType<typeof streamInput>
  idle: NodeJS.Timeout
}

/** Each holds a process and up to a MiB. */
const usualMost = 256

/** The streams that clients elsewhere have open on this host; they end with the service, the processes do not. */
export const openStreams = ({ most = usualMost, idleMs = streamIdleMs } = {}) => {
  const streams = new Map<string, OpenStream>()
  let opening = 0

  const close = (name: string): void => {
    const stream = streams.get(name)
    if (!stream) return
    streams.delete(name)
    clearTimeout(stream.idle)
    stream.output.close()
    stream.source.stop()
  }
  const find = (name: string): OpenStream => {
    const stream = streams.get(name)
    if (!stream)
      throw new Failure(
        'not_found',
        'the stream is not open any more: the namespace service of its node was restarted, or nobody read it for a minute',
      )
    stream.idle.refresh()
    return stream
  }
  const add = (source: StreamSource): string => {
    const name = randomBytes(16).toString('hex')
    const idle = setTimeout(() => close(name), idleMs).unref()
    streams.set(name, { source, output: outputBuffer(source.output), input: streamInput(source.input), idle })
    return name
  }

  return {
    /** Throws `Failure` (`busy`) when too many are open. */
    open: async (make: () => Promise<StreamSource>): Promise<string> => {
      if (streams.size + opening >= most)
        throw new Failure('busy', `there are ${most} streams open on this node, which is the most`)
      opening++
      try {
        return add(await make())
      } finally {
        opening--
      }
    },
    read: (name: string, after: number) => find(name).output.read(after, streamWaitMs),
    write: (name: string, written: { offset: number; data: Buffer; end: boolean }) =>
      find(name).input.write(written, streamWaitMs),
    resize: async (name: string, size: { rows: number; columns: number }): Promise<void> =>
      find(name).source.resize?.(size),
    close,
    closeAll: (): void => [...streams.keys()].forEach(close),
  }
}

export type OpenStreams = ReturnType<typeof openStreams>

import { setTimeout as delay } from 'node:timers/promises'
import { streamChunkBytes } from '../../../shared/contracts/streams.ts'
import { Failure } from '../../../shared/failure.ts'
import type { Frame } from './stdcopy.ts'

/** What is kept for a reader that is slow, or that may ask again; beyond, whoever writes has to wait. */
const mostBytes = 1 << 20
const mostFrames = 4096

/** Adjacent frames of one stream as one, up to so many bytes. */
const taken = (frames: readonly Frame[], maxBytes: number): Frame[] => {
  const groups: { stream: Frame['stream']; parts: Buffer[] }[] = []
  let left = maxBytes
  for (const { stream, data } of frames) {
    if (left <= 0) break
    const part = data.subarray(0, left)
    left -= part.length
    const last = groups.at(-1)
    if (last?.stream === stream) last.parts.push(part)
    else groups.push({ stream, parts: [part] })
  }
  return groups.map(({ stream, parts }) => ({ stream, data: Buffer.concat(parts) }))
}

/** What a read answers: frames from the position that was asked for, the one after them, and whether all is read. */
export interface Read {
  frames: Frame[]
  next: number
  ended: boolean
}

/** Takes frames from their source, a bounded number ahead of the reader, and keeps them until they are acknowledged. */
export const outputBuffer = (source: AsyncIterable<Frame>) => {
  const frames: Frame[] = []
  let [first, bytes] = [0, 0]
  let [ended, closed] = [false, false]
  let failure: unknown
  let changed = Promise.withResolvers<void>()
  const tell = (): void => {
    changed.resolve()
    changed = Promise.withResolvers()
  }

  const fill = async (): Promise<void> => {
    for await (const frame of source) {
      if (closed) return
      frames.push(frame)
      bytes += frame.data.length
      tell()
      while (!closed && (bytes >= mostBytes || frames.length >= mostFrames)) await changed.promise
    }
  }
  fill()
    .catch((error: unknown) => (failure = error))
    .finally(() => {
      ended = true
      tell()
    })

  /** Forgets what has come to the reader; it may end within a frame. */
  const acknowledge = (position: number): void => {
    if (position < first || position > first + bytes)
      throw new Failure('conflict', `cannot read at ${position}: there is ${first} to ${first + bytes}`)
    let over = position - first
    let whole = 0
    for (const { data } of frames) {
      if (data.length > over) break
      over -= data.length
      whole++
    }
    frames.splice(0, whole)
    const [head] = frames
    if (head && over > 0) frames[0] = { ...head, data: head.data.subarray(over) }
    bytes -= position - first
    first = position
    tell()
  }

  const wait = async (ms: number): Promise<void> => {
    const give = new AbortController()
    const timeout = delay(ms, undefined, { signal: give.signal }).catch(() => undefined) // something came first
    for (let over = false; bytes === 0 && !ended && !closed && !over;)
      over = await Promise.race([changed.promise.then(() => false), timeout.then(() => true)])
    give.abort()
  }

  return {
    /** Throws `Failure` (`conflict`) when the position is behind an acknowledged one, and what the source has thrown at its end. */
    read: async (after: number, waitMs: number): Promise<Read> => {
      acknowledge(after)
      await wait(waitMs)
      if (closed) throw new Failure('interrupted', 'the stream was closed')
      // Whoever asked at the same time has gone on.
      if (first > after) return { frames: [], next: after, ended: false }
      if (failure !== undefined && bytes === 0) throw failure
      const found = taken(frames, streamChunkBytes)
      const size = found.reduce((sum, { data }) => sum + data.length, 0)
      return { frames: found, next: after + size, ended: ended && size === bytes && failure === undefined }
    },
    close: (): void => {
      closed = true
      tell()
    },
  }
}

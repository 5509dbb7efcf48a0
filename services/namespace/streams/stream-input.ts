import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { Failure } from '../../../shared/failure.ts'

interface Written {
  offset: number
  data: Buffer
  end: boolean
}

/** Passes on what is written to a stream, each byte once, and no faster than it is taken. */
export const streamInput = (sink: Writable) => {
  let offset = 0
  let closed = false
  const close = () => void (closed = true)
  sink.on('error', close).on('close', close) // the process has ended; its output says so

  const room = async (waitMs: number): Promise<void> => {
    if (closed || !sink.writableNeedDrain) return
    await once(sink, 'drain', { signal: AbortSignal.timeout(waitMs) }).catch(() => undefined) // looked at below
  }

  return {
    /** Answers how much has been taken: nothing of it while what came before is not. Throws `Failure` (`conflict`) when some is missing. */
    write: async ({ offset: at, data, end }: Written, waitMs: number) => {
      await room(waitMs)
      if (at > offset) throw new Failure('conflict', `cannot write at ${at}: there is ${offset} so far`)
      if (closed || sink.writableEnded) return { offset, closed: true }
      // Its beginning may have come before, and only the answer was lost.
      const rest = data.subarray(offset - at)
      if (rest.length > 0 && sink.writableNeedDrain) return { offset, closed: false }
      if (rest.length > 0) sink.write(rest)
      offset += rest.length
      if (end) sink.end()
      return { offset, closed: false }
    },
  }
}

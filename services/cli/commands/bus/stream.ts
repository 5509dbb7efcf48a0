import { Writable } from 'node:stream'
import type { z } from 'zod'
import type { Bus } from '../../../../shared/bus.ts'
import { streamChunkBytes, streamIdleMs, streamWaitMs } from '../../../../shared/contracts/streams.ts'
import { type Verb, verbs } from '../../../../shared/contracts/verbs.ts'
import { Failure, reasonOf } from '../../../../shared/failure.ts'
import type { Frame } from '../../../namespace/streams/stdcopy.ts'
import { askAgain } from './ask-again.ts'

/** What the orchestrator answers within, also when it has to wait for a service that is restarted. */
const answerMs = streamWaitMs + 12_000

/** A stream of a container that is open on its node. */
export interface StreamName {
  node: string
  stream: string
}

/** Asks until it is answered: each of these may be asked again. Throws `Failure` (`interrupted`) when the stream is not there any more. */
const asking =
  (bus: Bus, name: StreamName) =>
  async <In extends z.ZodType, Out extends z.ZodType>(
    verb: Verb<In, Out>,
    input: object,
  ): Promise<z.output<Out>> => {
    try {
      return await askAgain(bus, verb, { ...name, ...input } as z.input<In>, answerMs)
    } catch (error) {
      if (!(error instanceof Failure) || error.code === 'invalid_message') throw error
      const why = `the connection to node ${name.node} broke (what runs there goes on): ${reasonOf(error)}`
      throw new Failure('interrupted', why, { cause: error, details: { goesOn: true } })
    }
  }
type Asking = ReturnType<typeof asking>

/** One read ahead of whoever takes them, so that the bus works while they are written. */
async function* framesOf(request: Asking): AsyncGenerator<Frame> {
  const read = (after: number) => {
    const answer = request(verbs.streamRead, { after })
    answer.catch(() => {}) // thrown when it is waited for
    return answer
  }
  for (let coming = read(0); ;) {
    const { frames, next, ended } = await coming
    if (!ended) coming = read(next)
    for (const { stream, data } of frames) yield { stream, data: Buffer.from(data, 'base64') }
    if (ended) return
  }
}

const inputOf = (request: Asking): Writable => {
  let offset = 0
  /** Whether it still reads. */
  const send = async (data: Buffer, end: boolean): Promise<boolean> => {
    const goal = offset + data.length
    for (let rest = data; ;) {
      const answer = await request(verbs.streamWrite, { offset, data: rest.toString('base64'), end })
      rest = rest.subarray(answer.offset - offset)
      offset = answer.offset
      if (answer.closed) return false
      if (offset === goal) return true
    }
  }
  const passOn = async (data: Buffer): Promise<void> => {
    for (let from = 0; from < data.length; from += streamChunkBytes)
      if (!(await send(data.subarray(from, from + streamChunkBytes), false)))
        throw new Failure('interrupted', 'the process reads no more')
  }
  return new Writable({
    highWaterMark: streamChunkBytes,
    // All that has come meanwhile goes together.
    writev: (chunks, done) =>
      void passOn(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer))).then(() => done(), done),
    final: (done) => void send(Buffer.alloc(0), true).then(() => done(), done),
  })
}

/** A stream that was opened on a container's node, by requests to whichever orchestrator answers. */
export const busStream = (bus: Bus, name: StreamName) => {
  const request = asking(bus, name)
  // A reader that waits, as for a pager, shall not be taken for one that is gone.
  const stay = setInterval(() => {
    request(verbs.streamWrite, { offset: 0 }).catch(() => {}) // whoever reads will hear of it
  }, streamIdleMs / 3).unref()
  return {
    frames: framesOf(request),
    input: inputOf(request),
    resize: async (size: { rows: number; columns: number }): Promise<void> => {
      await request(verbs.streamResize, size)
    },
    close: (): void => {
      clearInterval(stay)
      bus.tell(verbs.streamClose.subject, name, {})
    },
  }
}

import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import type { Bus } from '../../../../shared/bus.ts'
import { streamChunkBytes } from '../../../../shared/contracts/streams.ts'
import { verbs } from '../../../../shared/contracts/verbs.ts'
import { Failure, reasonOf } from '../../../../shared/failure.ts'
import { askAgain } from '../bus/ask-again.ts'

const answerMs = 30_000

/** Sends a tar, `-` for standard input, to the node that shall make an image of it; answers its name there. */
export const upload = async (bus: Bus, node: string, tar: string): Promise<string> => {
  const name = randomBytes(16).toString('hex')
  let offset = 0
  const send = async (data: Buffer) => {
    const input = { node, upload: name, offset, data: data.toString('base64') }
    offset = (await askAgain(bus, verbs.imageUpload, input, answerMs)).offset
  }
  try {
    await using file = tar === '-' ? undefined : await open(tar)
    const source: AsyncIterable<Buffer> =
      file?.createReadStream({ highWaterMark: streamChunkBytes, autoClose: false }) ?? process.stdin
    // An empty tar is a tar too, of which the node says what it thinks.
    await send(Buffer.alloc(0))
    for await (const chunk of source)
      for (let from = 0; from < chunk.length; from += streamChunkBytes)
        await send(chunk.subarray(from, from + streamChunkBytes))
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure('invalid_message', `cannot read ${tar}: ${reasonOf(error)}`, { cause: error })
  }
  return name
}

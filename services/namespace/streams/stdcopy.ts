import { Failure } from '../../../shared/failure.ts'

/** Bytes before each frame: stream, three zeros, big-endian length; Docker's stdcopy. */
const headerBytes = 8
const maxFrameBytes = 1 << 20

export interface Frame {
  stream: 'stdout' | 'stderr'
  data: Buffer
}

const streamOf = (header: Buffer): Frame['stream'] => {
  const [stream, ...zeros] = header.subarray(0, 4)
  if ((stream !== 1 && stream !== 2) || zeros.some((byte) => byte !== 0)) {
    throw new Failure(
      'interrupted',
      `cannot read the container's output: a frame begins with ${header.toString('hex')}`,
    )
  }
  return stream === 1 ? 'stdout' : 'stderr'
}

/** Cuts a byte stream into stdcopy frames. Throws `Failure` (`interrupted`) on foreign bytes or an end inside a frame. */
export async function* frames(source: AsyncIterable<Buffer>): AsyncGenerator<Frame> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of source) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    while (rest.length >= headerBytes) {
      const stream = streamOf(rest.subarray(0, headerBytes))
      const length = rest.readUInt32BE(4)
      if (length > maxFrameBytes)
        throw new Failure('interrupted', `cannot read the container's output: a frame of ${length} bytes`)
      if (rest.length < headerBytes + length) break
      yield { stream, data: rest.subarray(headerBytes, headerBytes + length) }
      rest = rest.subarray(headerBytes + length)
    }
  }
  if (rest.length > 0)
    throw new Failure('interrupted', "cannot read the container's output: it ends inside a frame")
}

import { Readable } from 'node:stream'
import fc from 'fast-check'
import test from 'ava'
import { type Frame, frames } from '../../services/namespace/streams/stdcopy.ts'

const frame = (stream: number, data: Buffer): Buffer => {
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0])
  header.writeUInt32BE(data.length, 4)
  return Buffer.concat([header, data])
}

const collect = async (chunks: Buffer[]): Promise<Frame[]> => {
  const found: Frame[] = []
  for await (const { stream, data } of frames(Readable.from(chunks)))
    found.push({ stream, data: Buffer.from(data) })
  return found
}

const cut = (bytes: Buffer, at: number[]): Buffer[] => {
  const points = [0, ...at.map((point) => point % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  return points.slice(1).map((point, index) => bytes.subarray(points[index], point))
}

test('frames come out whole and in order however the bytes are cut', async (t) => {
  const one = fc.record({ stream: fc.constantFrom(1, 2), data: fc.uint8Array({ maxLength: 300 }) })
  await fc.assert(
    fc.asyncProperty(
      fc.array(one, { maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      async (sent, cuts) => {
        const bytes = Buffer.concat(sent.map(({ stream, data }) => frame(stream, Buffer.from(data))))
        const got = await collect(cut(bytes, cuts))
        t.deepEqual(
          got,
          sent.map(({ stream, data }) => ({
            stream: stream === 1 ? 'stdout' : 'stderr',
            data: Buffer.from(data),
          })),
        )
      },
    ),
    { numRuns: 200 },
  )
})

test('an end inside a frame is an error, not an end', async (t) => {
  await t.throwsAsync(collect([frame(1, Buffer.from('hello')).subarray(0, 10)]), {
    message: /ends inside a frame/,
  })
  await t.throwsAsync(collect([Buffer.from([1, 0])]), { message: /ends inside a frame/ })
})

test('foreign bytes and enormous frames are refused', async (t) => {
  await t.throwsAsync(collect([Buffer.from('plain text, no frames')]), {
    message: /a frame begins with 706c6169/,
  })
  await t.throwsAsync(collect([Buffer.from([1, 0, 0, 0, 255, 255, 255, 255])]), {
    message: /4294967295 bytes/,
  })
})

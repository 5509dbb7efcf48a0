import { Transform } from 'node:stream'
import { Failure } from '../../shared/failure.ts'
import { humanSize } from './space.ts'

const blockBytes = 512
const checksumAt = { start: 148, end: 156 }

/** Whether the block could begin a tar: its checksum, which counts itself as spaces, is right. */
export const isTarHeader = (block: Buffer): boolean => {
  if (block.length < blockBytes) return false
  const stated = Number.parseInt(
    block.toString('latin1', checksumAt.start, checksumAt.end).replaceAll('\0', ' ').trim(),
    8,
  )
  const sum = block
    .subarray(0, blockBytes)
    .reduce(
      (total, byte, index) => total + (index >= checksumAt.start && index < checksumAt.end ? 32 : byte),
      0,
    )
  return stated === sum
}

/**
 * What decompresses standard input, by the first bytes of what it understands. A file says how much memory its
 * decompression takes: xz takes four gigabytes unless told, the others at most a few megabytes, zstd 128.
 */
const compressions = [
  { magic: '1f8b', command: ['gzip', '-dc'] },
  { magic: 'fd377a585a00', command: ['xz', '-dc', '--memlimit-decompress=256MiB'] },
  { magic: '28b52ffd', command: ['zstd', '-dc'] },
  { magic: '425a68', command: ['bzip2', '-dc'] },
]

/** The command that decompresses a file which begins so, or undefined. */
export const decompressorFor = (start: Buffer): readonly string[] | undefined =>
  compressions.find(({ magic }) => start.toString('hex').startsWith(magic))?.command

const noTar = () => new Failure('invalid_message', 'it is no tar')

/**
 * Passes a tar on, and stops it when its first block is none, when it grows beyond the limit (a bomb
 * has no honest size), or when it ends without the zeros that end a tar: tar itself takes a file cut
 * at the border of an entry for a whole one.
 */
export const guardTar = (maxBytes: number): Transform => {
  let start = Buffer.alloc(0)
  let tail = Buffer.alloc(0)
  let total = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      total += chunk.length
      if (start.length < blockBytes)
        start = Buffer.concat([start, chunk.subarray(0, blockBytes)]).subarray(0, blockBytes)
      tail = Buffer.concat([tail, chunk.subarray(-blockBytes)]).subarray(-blockBytes)
      if (total > maxBytes) done(new Failure('no_space', `it holds more than ${humanSize(maxBytes)}`))
      else if (start.length === blockBytes && !isTarHeader(start)) done(noTar())
      else done(null, chunk)
    },
    flush(done) {
      if (start.length < blockBytes) done(noTar())
      else
        done(
          tail.every((byte) => byte === 0)
            ? null
            : new Failure('invalid_message', 'it ends early, its end is missing'),
        )
    },
  })
}

import { Writable } from 'node:stream'
import type { BundlePaths } from '../bundle.ts'
import { attachedFrames } from './attached-output.ts'
import { spawnAttacher } from './attacher.ts'
import { followLog, readLog, tailOffset } from './log-reader.ts'
import type { StreamSource } from './open-streams.ts'
import { resize } from './resize.ts'
import type { Frame } from './stdcopy.ts'

/** The standard streams of a bundle's process, by its monitor. */
export const attachSource = async ({ attach, directory }: BundlePaths): Promise<StreamSource> => {
  const attacher = await spawnAttacher(attach, 'pipe')
  if (!attacher.stdin) throw new Error('the attacher has no standard input')
  return {
    output: attachedFrames(attacher),
    input: attacher.stdin,
    resize: (size) => resize(directory, size),
    stop: () => void (attacher.exitCode === null && attacher.signalCode === null && attacher.kill()),
  }
}

async function* asOutput(pieces: AsyncIterable<Buffer>): AsyncGenerator<Frame> {
  for await (const data of pieces) yield { stream: 'stdout', data }
}

/** A log from its last `tail` lines on; one that is followed ends with its input. */
export const logSource = async (
  { log }: BundlePaths,
  { follow, tail }: { follow: boolean; tail: number | null },
): Promise<StreamSource> => {
  const from = tail === null ? 0 : await tailOffset(log, tail)
  const ended = new AbortController()
  const end = () => ended.abort()
  return {
    output: asOutput(follow ? followLog(log, ended.signal, from) : readLog(log, from)),
    input: new Writable({
      write: (_chunk, _encoding, done) => done(),
      final: (done) => {
        end()
        done()
      },
    }),
    stop: end,
  }
}

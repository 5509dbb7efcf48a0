import { type FileHandle, open, stat } from 'node:fs/promises'
import { watch } from 'node:fs'
import { Failure, errnoOf, reasonOf } from '../../../shared/failure.ts'
import { type LogLine, parseLogLine } from './log-line.ts'

const chunkBytes = 1 << 16
/** inotify may be exhausted or miss a rename: looked at again at least this often. */
const pollMs = 500
const lineBreak = 10

const openLog = async (file: string): Promise<FileHandle> => {
  try {
    return await open(file, 'r')
  } catch (error) {
    const reason = errnoOf(error) === 'ENOENT' ? 'it is not on this host' : reasonOf(error)
    throw new Failure('not_found', `cannot read the log ${file}: ${reason}`, { cause: error })
  }
}

/** Reads what is there in pieces of whole lines; what has no line break yet stays for the next call. */
const pieceReader = (handle: FileHandle, from: number) => {
  let position = from
  let rest: Buffer = Buffer.alloc(0)
  return async function* (): AsyncGenerator<Buffer> {
    for (;;) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, position)
      if (bytesRead === 0) return
      position += bytesRead
      const all = Buffer.concat([rest, buffer.subarray(0, bytesRead)])
      const end = all.lastIndexOf(lineBreak) + 1
      rest = all.subarray(end)
      if (end > 0) yield all.subarray(0, end)
    }
  }
}

const rotated = async (file: string, handle: FileHandle): Promise<boolean> => {
  const [there, ours] = await Promise.all([stat(file).catch(() => undefined), handle.stat()])
  return there !== undefined && there.ino !== ours.ino
}

const watchFile = (file: string, onChange: () => void): (() => void) => {
  try {
    const watcher = watch(file, onChange).on('error', onChange)
    return () => watcher.close()
  } catch {
    return () => {} // the file is just being replaced or deleted, or inotify is exhausted: the timer looks again
  }
}

const nextChange = async (file: string, signal: AbortSignal): Promise<void> => {
  if (signal.aborted) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const onChange = () => resolve()
  const timer = setTimeout(onChange, pollMs)
  const stopWatching = watchFile(file, onChange)
  signal.addEventListener('abort', onChange)
  await promise
  clearTimeout(timer)
  stopWatching()
  signal.removeEventListener('abort', onChange)
}

/** The whole lines that the log file holds now, in pieces. Throws `Failure` (`not_found`) when there is none. */
export async function* readLog(file: string, from = 0): AsyncGenerator<Buffer> {
  await using handle = await openLog(file)
  yield* pieceReader(handle, from)()
}

/** Those that it holds and those to come, through rotations, until `ended` aborts and all is read. */
export async function* followLog(file: string, ended: AbortSignal, from = 0): AsyncGenerator<Buffer> {
  for (let start = from; ; start = 0) {
    await using handle = await openLog(file)
    const pieces = pieceReader(handle, start)
    for (;;) {
      const last = ended.aborted
      const renewed = await rotated(file, handle)
      yield* pieces()
      if (renewed) break
      if (last) return
      await nextChange(file, ended)
    }
  }
}

/** Cuts pieces of whole lines into lines; what is none is left out. */
export async function* logLines(pieces: AsyncIterable<Buffer>): AsyncGenerator<LogLine> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const piece of pieces) {
    rest = rest.length === 0 ? piece : Buffer.concat([rest, piece])
    for (let end = rest.indexOf(lineBreak); end >= 0; end = rest.indexOf(lineBreak)) {
      const line = parseLogLine(rest.toString('utf8', 0, end))
      rest = rest.subarray(end + 1)
      if (line) yield line
    }
  }
}

/** Where the last `tail` lines of the container begin in its log file. */
export const tailOffset = async (file: string, tail: number): Promise<number> => {
  const ends = [0]
  let position = 0
  for await (const piece of readLog(file)) {
    for (let begin = 0; begin < piece.length;) {
      const end = piece.indexOf(lineBreak, begin) + 1
      if (parseLogLine(piece.toString('utf8', begin, end - 1))?.complete) ends.push(position + end)
      begin = end
    }
    position += piece.length
  }
  return ends[Math.max(0, ends.length - 1 - tail)] ?? 0
}

import { type FileHandle, open, stat } from 'node:fs/promises'
import { watch } from 'node:fs'
import { Failure, errnoOf, reasonOf } from '../../../../shared/failure.ts'
import { type LogLine, parseLogLine } from './k8s-line.ts'

const chunkBytes = 1 << 16
/** inotify may be exhausted or miss a rename: looked at again at least this often. */
const pollMs = 500

const openLog = async (file: string): Promise<FileHandle> => {
  try {
    return await open(file, 'r')
  } catch (error) {
    const reason = errnoOf(error) === 'ENOENT' ? 'it is not on this host' : reasonOf(error)
    throw new Failure('not_found', `cannot read the log ${file}: ${reason}`, { cause: error })
  }
}

/** Reads what is there, line by line as bytes become lines; what has no line break yet stays for the next call. */
const lineReader = (handle: FileHandle) => {
  const buffer = Buffer.alloc(chunkBytes)
  let rest: Buffer = Buffer.alloc(0)
  return async function* (): AsyncGenerator<LogLine> {
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, chunkBytes, null)
      if (bytesRead === 0) return
      rest = Buffer.concat([rest, buffer.subarray(0, bytesRead)])
      for (let at = rest.indexOf(10); at >= 0; at = rest.indexOf(10)) {
        const line = parseLogLine(rest.toString('utf8', 0, at))
        rest = rest.subarray(at + 1)
        if (line) yield line
      }
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

/** The lines that the log file holds now. Throws `Failure` (`not_found`) when there is none. */
export async function* readLog(file: string): AsyncGenerator<LogLine> {
  await using handle = await openLog(file)
  yield* lineReader(handle)()
}

/** The lines that it holds and those to come, through rotations, until `ended` aborts and all is read. */
export async function* followLog(file: string, ended: AbortSignal): AsyncGenerator<LogLine> {
  for (;;) {
    await using handle = await openLog(file)
    const lines = lineReader(handle)
    for (;;) {
      const last = ended.aborted
      const renewed = await rotated(file, handle)
      yield* lines()
      if (renewed) break
      if (last) return
      await nextChange(file, ended)
    }
  }
}

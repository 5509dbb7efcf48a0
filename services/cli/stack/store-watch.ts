import { closeSync, openSync, readSync, statSync, statfsSync } from 'node:fs'
import type { Config } from '../../../shared/config.ts'
import { errnoOf, reasonOf } from '../../../shared/failure.ts'
import type { Log } from '../../../shared/log.ts'
import type { KeptProgram } from './keep-running.ts'
import { type ProcessIdentity, identify, signalIfAlive } from './process-table.ts'

const everyMs = 1000
/** Less is as good as nothing: the server writes in blocks, and so does everyone else. */
const fullBytes = 4 * 2 ** 20
/** Enough to go on for a while; a restart into a disk that is full again helps nobody. */
const enoughBytes = 32 * 2 ** 20
const complaint = 'no space left on device'

/**
 * What was added to the file since `from`, and where it ends now. Synchronous, as all that is looked at every
 * second: each call takes microseconds, the thread pool ten times as long, which was a quarter of the stack's rest.
 */
const tail = (file: string, from: number): { text: string; end: number } => {
  const { size } = statSync(file)
  if (size === from) return { text: '', end: size }
  // It was cut meanwhile, as logs are.
  const begin = size < from ? 0 : from
  const fd = openSync(file, 'r')
  try {
    const buffer = Buffer.alloc(size - begin)
    const bytes = readSync(fd, buffer, 0, buffer.length, begin)
    return { text: buffer.toString('utf8', 0, bytes), end: begin + bytes }
  } finally {
    closeSync(fd)
  }
}

/**
 * Starts the NATS server anew once a full disk has space again: a stream that could not write refuses every
 * message from then on, until the server is started anew and reads what it has. Until then it says, once, that
 * the disk is full.
 */
export const watchStore = (
  { names }: Config,
  { server, log }: { server: KeptProgram; log: Log },
): { stop: () => void } => {
  let failed: ProcessIdentity | undefined
  // What it said before is of a server that has ended.
  let read = statSync(server.logFile, { throwIfNoEntry: false })?.size ?? 0
  let busy = false

  const look = async (): Promise<void> => {
    const pid = server.pid()
    const { bavail, bsize } = statfsSync(names.nats)
    const freeBytes = bavail * bsize
    const { text, end } = tail(server.logFile, read)
    read = end
    if (!failed && pid !== undefined && (freeBytes < fullBytes || text.includes(complaint))) {
      failed = await identify(pid)
      if (!failed) return
      log.error({ freeBytes, path: names.nats }, 'disk full: nothing can be logged, so nothing is begun')
    }
    if (!failed || freeBytes < enoughBytes) return
    log.warn({ freeBytes }, 'disk has space again: starting the NATS server anew')
    await signalIfAlive(failed, 'SIGTERM')
    failed = undefined
  }

  const timer = setInterval(() => {
    if (busy) return
    busy = true
    look()
      .catch((error: unknown) => {
        if (errnoOf(error) !== 'ENOENT') log.warn({ reason: reasonOf(error) }, 'store not watched')
      })
      .finally(() => {
        busy = false
      })
  }, everyMs)
  return { stop: () => clearInterval(timer) }
}

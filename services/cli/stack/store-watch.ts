import { open, statfs } from 'node:fs/promises'
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

/** What was added to the file since `from`, and where it ends now. */
const tail = async (file: string, from: number): Promise<{ text: string; end: number }> => {
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    // It was cut meanwhile, as logs are.
    const begin = size < from ? 0 : from
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - begin), 0, size - begin, begin)
    return { text: buffer.toString('utf8', 0, bytesRead), end: begin + bytesRead }
  } finally {
    await handle.close()
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
  let read = 0
  let busy = false

  const look = async (): Promise<void> => {
    const pid = server.pid()
    const running = pid === undefined ? undefined : await identify(pid)
    const { bavail, bsize } = await statfs(names.nats)
    const freeBytes = bavail * bsize
    const { text, end } = await tail(server.logFile, read)
    read = end
    if (!failed && running && (freeBytes < fullBytes || text.includes(complaint))) {
      failed = running
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

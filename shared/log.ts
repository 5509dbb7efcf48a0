import { writeSync } from 'node:fs'
import pino from 'pino'
import { errnoOf } from './failure.ts'

const standardError = 2
/** How often, and after how many milliseconds, a pipe is tried again that has no room. */
const [mostTries, pauseMs] = [50, 2]
const sleeper = new Int32Array(new SharedArrayBuffer(4))

/** Whether the last line found no room for long: then nothing waits for it until there is. */
let isStuck = false

const writeAll = (bytes: Uint8Array): void => {
  let tries = isStuck ? 1 : mostTries
  for (let written = 0; written < bytes.length;) {
    try {
      written += writeSync(standardError, bytes, written)
      isStuck = false
    } catch (error) {
      isStuck = errnoOf(error) === 'EAGAIN'
      tries -= 1
      if (!isStuck || tries === 0) return
      Atomics.wait(sleeper, 0, 0, pauseMs)
    }
  }
}

/**
 * JSON lines on standard error, one logger a process; children carry `container`, `saga`, `step`. A line that cannot be
 * written, to a full disk or a terminal that is gone, is lost: pino's own destination would throw where nobody catches
 * it, and try for ever when the program ends.
 */
export const createLog = (bindings: Record<string, unknown>, level = 'info') =>
  pino(
    { level, base: bindings, timestamp: pino.stdTimeFunctions.isoTime },
    { write: (line: string): void => writeAll(Buffer.from(line)) },
  )

export type Log = pino.Logger

import { copyFile, mkdir, open, readFile, stat, truncate } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf } from '../../../shared/failure.ts'

const maxBytes = 8 * 2 ** 20

/** Opens a log for appending, in a directory that may have gone; the program writes to it itself, so that it outlives its supervisor. */
export const openLog = async (file: string) => {
  await mkdir(dirname(file), { recursive: true })
  return open(file, 'a', 0o640)
}

/** Bytes of a log; none when it does not exist yet. */
const sizeOf = async (file: string): Promise<number> => {
  try {
    return (await stat(file)).size
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 0
    throw error
  }
}

/** Keeps one earlier part beside a log that has grown too big: at most twice 8 MiB a program. */
export const boundLog = async (file: string, limit = maxBytes): Promise<void> => {
  if ((await sizeOf(file)) <= limit) return
  // The writer holds the file open in append mode: emptied in place, it goes on at the beginning.
  await copyFile(file, `${file}.1`)
  await truncate(file)
}

const reasonIn = (line: string): string => {
  if (!line.startsWith('{')) return line
  try {
    const {
      msg = '',
      reason = '',
      err,
    } = JSON.parse(line) as { msg?: string; reason?: string; err?: { message?: string } }
    return [msg, reason || err?.message].filter(Boolean).join(': ')
  } catch {
    return line // half a line, written as the program died
  }
}

/** Why a program ended, from what it wrote to its log after `from`: its error's line, or its last one. */
export const lastWords = async (file: string, { from = 0 } = {}): Promise<string> => {
  const lines = (await readFile(file)).subarray(from).toString('utf8').trim().split('\n')
  const error = lines.findLast((line) =>
    /^(?:\w*Error|Failure)\b|"level":(?:50|60)|\[FTL\]|^nats-server: /.test(line),
  )
  return reasonIn(error ?? lines.at(-1) ?? '')
}

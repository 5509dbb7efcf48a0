import { writeSync } from 'node:fs'
import { getSystemErrorMap } from 'node:util'
import { reasonOf } from '../../../shared/failure.ts'

/** What SIGPIPE and SIGHUP mean to other programs: the reader of a pipe (`dolly logs c | head`), or the terminal, has gone. */
const ends: Record<string, number> = { EPIPE: 128 + 13, EIO: 128 + 1 }

const wordsOf = ({ errno = 0, message }: NodeJS.ErrnoException): string =>
  getSystemErrorMap().get(errno)?.[1] ?? reasonOf(message)

let whenLost: ((code: number) => void) | undefined

/** Does this in place of ending at once, until it is disposed: whoever does it ends then. */
export const beforeOutputEnds = (act: (code: number) => void): Disposable => {
  whenLost = act
  return { [Symbol.dispose]: () => void (whenLost = undefined) }
}

/** Ends this process when what it prints can be printed no more; with a word where that helps. */
export const endWithOutput = (): void => {
  for (const [stream, name] of [
    [process.stdout, 'standard output'],
    [process.stderr, 'standard error'],
  ] as const)
    stream.on('error', (error: NodeJS.ErrnoException) => {
      const code = ends[error.code ?? '']
      if (code === undefined && stream === process.stdout)
        writeSync(process.stderr.fd, `dolly: cannot write to ${name}: ${wordsOf(error)}\n`)
      if (whenLost) whenLost(code ?? 1)
      else process.exit(code ?? 1)
    })
}

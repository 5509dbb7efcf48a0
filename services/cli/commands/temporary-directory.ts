import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { constants } from 'node:os'
import { dirname } from 'node:path'
import { operating } from '../../../shared/operating.ts'

const ending = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const

/** A directory for what is only passing, which goes when it is disposed, or when a signal ends this process. Throws `Failure`. */
export const temporaryDirectory = async (prefix: string): Promise<{ path: string } & Disposable> => {
  const path = await operating(`keep anything in ${dirname(prefix)}`, () => mkdtemp(prefix))
  const remove = () => rmSync(path, { recursive: true, force: true })
  const onSignal = (signal: (typeof ending)[number]) => {
    remove()
    process.exit(128 + constants.signals[signal])
  }
  process.on('exit', remove)
  for (const signal of ending) process.on(signal, onSignal)
  return {
    path,
    [Symbol.dispose]: () => {
      process.off('exit', remove)
      for (const signal of ending) process.off(signal, onSignal)
      remove()
    },
  }
}

import { createWriteStream } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { operating } from '../../../../shared/operating.ts'
import { temporaryDirectory } from '../temporary-directory.ts'

/** The path of a tar that the storage service can read: standard input is written to a file that disposing removes. Throws `Failure`. */
export const tarPath = async (tar: string): Promise<{ path: string } & Disposable> => {
  if (tar !== '-') return { path: resolve(tar), [Symbol.dispose]: () => {} }
  using stack = new DisposableStack()
  const directory = stack.use(await temporaryDirectory(join(tmpdir(), 'dolly-import-')))
  const path = join(directory.path, 'image.tar')
  await operating(`keep standard input in ${directory.path} (TMPDIR names another place)`, () =>
    pipeline(process.stdin, createWriteStream(path, { mode: 0o600 })),
  )
  const kept = stack.move()
  return { path, [Symbol.dispose]: () => kept.dispose() }
}

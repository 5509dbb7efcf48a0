import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'

/** The path of a tar that the storage service can read: standard input is written to a file that disposing removes. */
export const tarPath = async (tar: string): Promise<{ path: string } & AsyncDisposable> => {
  if (tar !== '-') return { path: resolve(tar), [Symbol.asyncDispose]: () => Promise.resolve() }
  const directory = await mkdtemp(join(tmpdir(), 'dolly-import-'))
  const remove = () => rm(directory, { recursive: true, force: true })
  const path = join(directory, 'image.tar')
  try {
    await pipeline(process.stdin, createWriteStream(path, { mode: 0o600 }))
  } catch (error) {
    await remove()
    throw error
  }
  return { path, [Symbol.asyncDispose]: remove }
}

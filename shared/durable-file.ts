import { open, rename } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** Puts a directory's entries on disk: a name given or taken there outlives a power loss, fsync(2). */
export const syncDirectory = async (path: string): Promise<void> => {
  await using directory = await open(path, 'r')
  await directory.sync()
}

/** Writes a file of mode 600 so that a crash or a power loss leaves the old text or the new one, never a part. */
export const writeDurably = async (path: string, text: string): Promise<void> => {
  const directory = dirname(path)
  const part = join(directory, `.part-${basename(path)}`)
  {
    await using file = await open(part, 'w', 0o600)
    await file.writeFile(text)
    await file.sync()
  }
  await rename(part, path)
  await syncDirectory(directory)
}

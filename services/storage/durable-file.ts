import { open, rename } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** Writes a file so that a crash or a power loss leaves the old text or the new one, never a part. */
export const writeDurably = async (path: string, text: string): Promise<void> => {
  const directory = dirname(path)
  const part = join(directory, `.part-${basename(path)}`)
  {
    await using file = await open(part, 'w', 0o600)
    await file.writeFile(text)
    await file.sync()
  }
  await rename(part, path)
  await using parent = await open(directory, 'r')
  await parent.sync()
}

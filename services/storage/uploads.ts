import { mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure, absentIsSuccess } from '../../shared/failure.ts'
import type { Names } from '../../shared/names.ts'
import { requireHostSpace } from './space.ts'
import { importLimits } from './image-import.ts'

/** Nobody has written to one for so long: whoever sent it is gone. */
const abandonedMs = 60 * 60_000

const fileOf = (names: Names, upload: string): string => join(names.uploads, upload)

/** Removes what was sent and never made an image of. */
export const sweepUploads = async (names: Names): Promise<void> => {
  await mkdir(names.uploads, { recursive: true, mode: 0o700 })
  for (const name of await readdir(names.uploads)) {
    const file = join(names.uploads, name)
    // It may be imported and removed meanwhile.
    await absentIsSuccess(async () => {
      if ((await stat(file)).mtimeMs < Date.now() - abandonedMs) await rm(file)
    })
  }
}

/** Writes a piece of a tar where it belongs, so that it may come twice. Throws `Failure` when one is missing or it is too large. */
export const writeUpload = async (
  names: Names,
  { upload, offset, data }: { upload: string; offset: number; data: Buffer },
): Promise<{ offset: number }> => {
  if (offset === 0) await sweepUploads(names)
  const end = offset + data.length
  if (end > importLimits.maxBytes)
    throw new Failure('limit_refused', `cannot take a tar of more than ${importLimits.maxBytes} bytes`)
  await using file = await open(fileOf(names, upload), offset === 0 ? 'w' : 'r+', 0o600)
  const { size } = await file.stat()
  if (offset > size) throw new Failure('conflict', `cannot write at ${offset}: there are ${size} bytes`)
  requireHostSpace(names.uploads, `take a tar of ${end} bytes or more`)
  // A disk that is almost full takes a part, and says why it takes no more when it is asked again.
  for (let taken = 0; taken < data.length;) {
    const { bytesWritten } = await file.write(data, taken, data.length - taken, offset + taken)
    taken += bytesWritten
  }
  return { offset: end }
}

/** Hands a tar that was sent to whoever makes an image of it, and removes it then, whatever comes of it. */
export const takeUpload = async <T>(
  names: Names,
  upload: string,
  act: (path: string) => Promise<T>,
): Promise<T> => {
  const path = fileOf(names, upload)
  try {
    return await act(path)
  } finally {
    await rm(path, { force: true })
  }
}

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from '../../../shared/failure.ts'

/** conmon's control command for a new window size: `1 <rows> <columns>`. */
const resizeCommand = 1

/** Tells the monitor of `bundle` the terminal's size; a monitor that has ended needs none. */
export const resize = async (
  bundle: string,
  { rows, columns }: { rows: number; columns: number },
): Promise<void> => {
  try {
    // Without O_NONBLOCK the open would wait for ever on the fifo of a monitor that has ended.
    const control = await open(join(bundle, 'ctl'), constants.O_WRONLY | constants.O_NONBLOCK)
    try {
      await control.write(`${resizeCommand} ${rows} ${columns}\n`)
    } finally {
      await control.close()
    }
  } catch (error) {
    if (!['ENXIO', 'ENOENT', 'EPIPE'].includes(errnoOf(error) ?? '')) throw error
  }
}

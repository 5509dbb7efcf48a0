import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from '../../../../shared/failure.ts'

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

/** Keeps the container's terminal as large as ours until disposed. */
export const followSize = async (bundle: string, terminal: NodeJS.WriteStream): Promise<Disposable> => {
  if (!terminal.isTTY) return { [Symbol.dispose]: () => {} }
  const tell = () => resize(bundle, { rows: terminal.rows, columns: terminal.columns })
  const onResize = () => void tell()
  await tell()
  terminal.on('resize', onResize)
  return { [Symbol.dispose]: () => void terminal.off('resize', onResize) }
}

/** Hands every key to the container, Ctrl-C too, until disposed. */
export const rawMode = (terminal: NodeJS.ReadStream): Disposable => {
  if (!terminal.isTTY) return { [Symbol.dispose]: () => {} }
  const restore = () => void terminal.setRawMode(false)
  terminal.setRawMode(true)
  process.once('exit', restore)
  return {
    [Symbol.dispose]: () => {
      process.off('exit', restore)
      restore()
    },
  }
}

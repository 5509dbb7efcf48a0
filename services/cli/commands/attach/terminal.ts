/** Keeps the container's terminal as large as ours, by telling its size, until disposed. */
export const followSize = async (
  resize: (size: { rows: number; columns: number }) => Promise<void>,
  terminal: NodeJS.WriteStream,
): Promise<Disposable> => {
  if (!terminal.isTTY) return { [Symbol.dispose]: () => {} }
  // A terminal that does not know its size says 0.
  const tell = async () => {
    if (terminal.rows > 0 && terminal.columns > 0)
      await resize({ rows: terminal.rows, columns: terminal.columns })
  }
  const onResize = () => void tell().catch(() => {}) // of a connection that broke the output tells
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

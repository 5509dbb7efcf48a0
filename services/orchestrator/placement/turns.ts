/** Does one thing at a time: taken again while it is done, it is done once more, for all who asked meanwhile. */
export const createTurns = (act: () => Promise<void>) => {
  let busy = false
  let again = false

  const run = async (): Promise<void> => {
    busy = true
    try {
      do {
        again = false
        // Whatever comes with the same read of the socket goes into the same turn.
        await new Promise(setImmediate)
        await act()
      } while (again)
    } finally {
      busy = false
    }
  }

  return {
    take: (): void => {
      again = true
      if (!busy) void run()
    },
  }
}

const forwarded = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2'] as const
/** Docker's number of interrupts after which the command gives up on a process that ignores them. */
const patience = 3

/** Sends the signals that reach this process to `send` until disposed; the third interrupt ends the process. */
export const forwardSignals = (send: (signal: (typeof forwarded)[number]) => void): Disposable => {
  let interrupts = 0
  const onSignal = (signal: (typeof forwarded)[number]) => {
    if (signal === 'SIGINT' || signal === 'SIGTERM') interrupts++
    if (interrupts >= patience) process.exit(signal === 'SIGINT' ? 130 : 143)
    send(signal)
  }
  for (const signal of forwarded) process.on(signal, onSignal)
  return {
    [Symbol.dispose]: () => {
      for (const signal of forwarded) process.off(signal, onSignal)
    },
  }
}

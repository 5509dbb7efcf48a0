import pino from 'pino'

/** JSON lines on standard error, one logger a process; children carry `container`, `saga`, `step`. */
export const createLog = (bindings: Record<string, unknown>, level = 'info') =>
  pino(
    { level, base: bindings, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: false }),
  )

export type Log = pino.Logger

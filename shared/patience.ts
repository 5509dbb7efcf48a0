/**
 * Milliseconds of a wait that only guards against waiting for ever. On a host that is known to be slow,
 * an emulated one above all, `DOLLY_TIME_FACTOR` makes every such wait that many times longer.
 */
export const patienceMs = (usualMs: number): number => usualMs * Number(process.env['DOLLY_TIME_FACTOR'] || 1)

const units: Record<string, number> = {
  '': 1,
  b: 1,
  k: 2 ** 10,
  kb: 2 ** 10,
  m: 2 ** 20,
  mb: 2 ** 20,
  g: 2 ** 30,
  gb: 2 ** 30,
  t: 2 ** 40,
  tb: 2 ** 40,
}

/** Bytes of a Compose byte value (`512M`, `1gb`, `2048`), or undefined when it is none. */
export const quantity = (text: string | number): number | undefined => {
  if (typeof text === 'number') return Number.isSafeInteger(text) ? text : undefined
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]{0,2})$/i.exec(text.trim())
  const unit = units[match?.[2]?.toLowerCase().replace('ib', 'b') ?? '?']
  if (!match || unit === undefined) return undefined
  const bytes = Math.floor(Number(match[1]) * unit)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

const seconds: Record<string, number> = { us: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 }

/** Milliseconds of a Compose duration (`10s`, `1m30s`), or undefined when it is none. */
export const durationMs = (text: string): number | undefined => {
  if (!/^(?:\d+(?:\.\d+)?(?:us|ms|s|m|h))+$/.test(text)) return undefined
  const parts = text.matchAll(/(\d+(?:\.\d+)?)(us|ms|s|m|h)/g)
  return [...parts].reduce(
    (total, [, amount, unit]) => total + Number(amount) * (seconds[unit ?? 's'] ?? 1) * 1000,
    0,
  )
}

/** The longest that anything asked for may take: answers come within it, and timers of Node hold it. */
export const longestWaitMs = 24 * 60 * 60_000

/** What a series of durations says; milliseconds. */
export interface Summary {
  runs: number
  min: number
  median: number
  p90: number
  p99: number
  max: number
  mean: number
}

const rounded = (value: number): number => Math.round(value * 100) / 100

/** The value below which this share of a series lies (nearest rank). */
export const percentile = (series: readonly number[], share: number): number => {
  const sorted = series.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

export const mean = (series: readonly number[]): number =>
  series.reduce((sum, value) => sum + value, 0) / series.length

/** Sums a series up. Throws when there is nothing to sum up. */
export const summary = (series: readonly number[]): Summary => {
  if (series.length === 0) throw new Error('cannot sum up a series without values')
  return {
    runs: series.length,
    min: rounded(percentile(series, 0)),
    median: rounded(percentile(series, 0.5)),
    p90: rounded(percentile(series, 0.9)),
    p99: rounded(percentile(series, 0.99)),
    max: rounded(percentile(series, 1)),
    mean: rounded(mean(series)),
  }
}

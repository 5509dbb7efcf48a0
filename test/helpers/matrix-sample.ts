import type { ExecutionContext } from 'ava'

const every = Number(process.env['DOLLY_MATRIX_SAMPLE'] || 1)

/**
 * Chooses from the points of a crash matrix: all of them, or every n-th, counted through the whole file, and at
 * least one for each test, where `DOLLY_MATRIX_SAMPLE=n` says that the host is too slow for all. The test's
 * log says which.
 */
export const matrixSample = () => {
  let seen = 0
  return <T>(t: ExecutionContext, points: readonly T[], nameOf: (point: T) => string): T[] => {
    const begun = seen
    const regular = points.filter(() => seen++ % every === 0)
    const chosen = regular.length > 0 ? regular : points.filter((_, index) => index === begun % points.length)
    const names = chosen.map(nameOf).join(', ')
    if (every > 1) t.log(`DOLLY_MATRIX_SAMPLE=${every}: ${chosen.length} of ${points.length}: ${names}`)
    return chosen
  }
}

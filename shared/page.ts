/** Half of what a message of the bus may hold. */
const pageBytes = 512 * 1024

/** As many of the ordered items as a message holds, at least one; `next` is the key of the last when there are more. */
export const firstPage = <T, S>(
  ordered: readonly { key: string; item: T }[],
  show: (item: T) => S,
): { page: S[]; next?: string | undefined } => {
  const page: S[] = []
  let left = pageBytes
  for (const [index, { item }] of ordered.entries()) {
    const shown = show(item)
    left -= Buffer.byteLength(JSON.stringify(shown)) + 1
    if (left < 0 && page.length > 0) return { page, next: ordered[index - 1]?.key }
    page.push(shown)
  }
  return { page }
}

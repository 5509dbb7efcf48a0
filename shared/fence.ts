const remembered = 10_000

/**
 * Refuses requests older than the newest seen for the same key: a saga's run that was replaced, or a `do`
 * that arrives after its `undo`. Tokens are journal sequences; the newest 10,000 keys are remembered.
 */
export const createFence = () => {
  const newest = new Map<string, number>()
  return {
    /** Whether the request may pass; a passing token becomes the newest. */
    admits: (key: string, token: number): boolean => {
      const before = newest.get(key) ?? 0
      if (token < before) return false
      newest.delete(key)
      newest.set(key, token)
      const oldest = newest.keys().next().value
      if (newest.size > remembered && oldest !== undefined) newest.delete(oldest)
      return true
    },
  }
}

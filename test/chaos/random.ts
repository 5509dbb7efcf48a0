/** A generator that gives the same for the same seed (mulberry32). */
export const createRandom = (seed: number) => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    /** From `least` up to, and without, `most`. */
    between: (least: number, most: number): number => least + next() * (most - least),
    chance: (probability: number): boolean => next() < probability,
    /** One of these, each as often as its weight says. */
    weighted: <T>(choices: readonly (readonly [weight: number, value: T])[]): T => {
      let left = next() * choices.reduce((sum, [weight]) => sum + weight, 0)
      const found = choices.find(([weight]) => (left -= weight) < 0) ?? choices.at(-1)
      if (!found) throw new Error('nothing to choose from')
      return found[1]
    },
    pick: <T>(values: readonly T[]): T | undefined => values[Math.floor(next() * values.length)],
    /** A generator of its own, so that what one user of it draws does not change what another does. */
    fork: () => createRandom(Math.floor(next() * 2 ** 32)),
  }
}

export type Random = ReturnType<typeof createRandom>

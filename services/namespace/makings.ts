/**
 * Keeps what is made beside containers and their removal apart: what comes of a launch that is under way when its
 * bundle goes would stay behind.
 */
export const createMakings = () => {
  const going = new Set<string>()
  const underWay = new Map<string, Set<Promise<unknown>>>()
  return {
    /** Whether the container is being removed, so that nothing more shall be made beside it. */
    isGoing: (id: string): boolean => going.has(id),
    /** Makes something beside the container. Throws as `make` does. */
    make: async <T>(id: string, make: () => Promise<T>): Promise<T> => {
      const all = underWay.get(id) ?? new Set()
      underWay.set(id, all)
      const made = make()
      all.add(made)
      try {
        return await made
      } finally {
        all.delete(made)
        if (all.size === 0) underWay.delete(id)
      }
    },
    /** Waits until nothing is being made any more; answers whether anything was. */
    settled: async (id: string): Promise<boolean> => {
      const all = [...(underWay.get(id) ?? [])]
      await Promise.allSettled(all)
      return all.length > 0
    },
    /** Runs the container's removal. Throws as it does. */
    remove: async (id: string, remove: () => Promise<void>): Promise<void> => {
      going.add(id)
      try {
        await remove()
      } finally {
        going.delete(id)
      }
    },
  }
}

export type Makings = ReturnType<typeof createMakings>

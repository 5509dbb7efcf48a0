import { Failure } from '../../shared/failure.ts'
import { type IpBatch, startIpBatch } from './ip-batch.ts'

/** Whom a network namespace belongs to: a user namespace of its own, without ids yet, or the host's. */
export type NamespaceOwner = 'own' | 'host'

const enter = {
  // The capabilities outlast execve, though nobody is root there until ids are mapped.
  own: ['unshare', '--user', '--net', '--keep-caps'],
  host: ['unshare', '--net'],
} as const

/** A network namespace without a name, with loopback up, held by the `ip -batch -` that configures it. */
export interface SpareNamespace {
  batch: IpBatch
  /** Names the namespace for `ip netns attach NAME PID` and `netns PID`. */
  pid: number
}

/** By then a launch that took a spare has ended. */
const quietMs = 100

const make = async (owner: NamespaceOwner): Promise<SpareNamespace> => {
  const batch = startIpBatch(enter[owner])
  // The answer proves that unshare has made way for ip: before, the pid still stands for the host's namespace.
  const failure = await batch.send('link set dev lo up')
  if (failure || batch.pid === undefined) {
    batch.end()
    throw new Failure(
      'host_unfit',
      `cannot make a network namespace: ${failure?.message ?? 'unshare did not start'}`,
    )
  }
  return { batch, pid: batch.pid }
}

/**
 * A few network namespaces made ahead of need: a container names one instead of waiting for a process.
 * Nothing of it can leak: a spare has no name and dies with its process, which dies with this program.
 */
export const createSpareNamespaces = (owner: NamespaceOwner, size = 4) => {
  const spares: SpareNamespace[] = []
  let [making, open] = [0, true]

  const refill = (): void => {
    while (open && spares.length + making < size) {
      making++
      const settled = () => void making--
      make(owner).then(
        (spare) => {
          settled()
          if (open) spares.push(spare)
          else spare.batch.end()
        },
        // The next take meets the same obstacle and reports it.
        settled,
      )
    }
  }

  return {
    /** Begins to make spares, after `drain` too. */
    fill: (): void => {
      open = true
      refill()
    },
    /** Runs `use` with a spare of its own; the namespace lives on only if `use` gave it a name. */
    with: async <T>(use: (spare: SpareNamespace) => Promise<T>): Promise<T> => {
      let spare = spares.shift()
      while (spare && !spare.batch.isUsable()) spare = spares.shift()
      spare ??= await make(owner)
      try {
        return await use(spare)
      } finally {
        spare.batch.end()
        // Starting a process holds this thread up, and a processor: not while the same launch goes on.
        setTimeout(refill, spares.length > 1 ? quietMs : 2).unref()
      }
    },
    /** Lets all spares go. */
    drain: (): void => {
      open = false
      for (const { batch } of spares.splice(0)) batch.end()
    },
  }
}

export type SpareNamespaces = ReturnType<typeof createSpareNamespaces>

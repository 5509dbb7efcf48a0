import { mkdirSync, readdirSync, readlinkSync, rmSync, rmdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { type Config, idsPerContainer } from '../../shared/config.ts'
import { Failure, errnoOf } from '../../shared/failure.ts'

const targetOf = (path: string): string | undefined => {
  try {
    return readlinkSync(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Leases of 65,536 user and group ids: a symbolic link named after the first of them, to the container's
 * netns name, in a directory that all stacks of the host share, since they share its ids too. symlink(2)
 * makes it whole or fails with EEXIST. Memory is only a copy of this stack's part.
 */
export const createIdLeases = ({
  names: { idLeases: directory, netnsPrefix, netns },
  tag,
  idPool,
}: Config) => {
  const held = new Map<string, number>()
  // Stacks begin apart, so that they seldom meet; a released range rests as long as possible.
  let cursor = Number.parseInt(tag, 36) % idPool.count

  const load = (): void => {
    mkdirSync(directory, { recursive: true, mode: 0o755 })
    held.clear()
    for (const name of readdirSync(directory)) {
      const target = targetOf(join(directory, name))
      if (target?.startsWith(netnsPrefix)) held.set(target.slice(netnsPrefix.length), Number(name))
    }
  }

  const take = (first: number, id: string): boolean => {
    try {
      symlinkSync(netns(id), join(directory, String(first)))
      return true
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false
      if (errnoOf(error) !== 'ENOENT') throw error
      // Another stack, the last one that had leases, has removed the directory.
      mkdirSync(directory, { recursive: true, mode: 0o755 })
      return take(first, id)
    }
  }

  const next = (id: string): number => {
    const own = new Set(held.values())
    for (let tries = 0; tries < idPool.count; tries++) {
      const first = idPool.first + cursor * idsPerContainer
      cursor = (cursor + 1) % idPool.count
      if (!own.has(first) && take(first, id)) return first
    }
    throw new Failure(
      'no_capacity',
      `cannot lease user ids to ${id}: all ${idPool.count} ranges from ${idPool.first} on are in use`,
      { details: { ranges: idPool.count, leased: held.size } },
    )
  }

  load()
  return {
    /** Every range of this stack's containers, by its first id. */
    all: () => {
      load()
      return [...held].map(([id, first]) => ({ id, first }))
    },
    /** First id of the container's range, and whether it had none before. Throws `Failure` (`no_capacity`). */
    lease: (id: string): { first: number; fresh: boolean } => {
      const known = held.get(id)
      if (known !== undefined && targetOf(join(directory, String(known))) === netns(id))
        return { first: known, fresh: false }
      const first = next(id)
      held.set(id, first)
      return { first, fresh: true }
    },
    /** Gives the container's range back; absent is success. */
    release: (id: string): void => {
      if (!held.has(id)) load()
      const first = held.get(id)
      if (first !== undefined) rmSync(join(directory, String(first)), { force: true })
      held.delete(id)
    },
    /** Removes the directory unless some stack has a lease in it, or it is a mount point, as in a container of Docker. */
    end: (): void => {
      try {
        rmdirSync(directory)
      } catch (error) {
        if (!['ENOTEMPTY', 'ENOENT', 'EBUSY'].includes(errnoOf(error) ?? '')) throw error
      }
    },
  }
}

export type IdLeases = ReturnType<typeof createIdLeases>

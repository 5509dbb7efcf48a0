import { mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { join } from 'node:path'
import { Failure, errnoOf } from '../../shared/failure.ts'
import { addressNumber, addressText } from './subnet.ts'

/** Addresses that may be leased: `first` to `last`, both included, as numbers. */
export interface AddressRange {
  first: number
  last: number
}

const linkTarget = (path: string): string | undefined => {
  try {
    return readlinkSync(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Leases of addresses in a directory: a symbolic link named after the address that points to the
 * container's id. symlink(2) makes it whole or fails with EEXIST, so a lease survives a crash at any
 * moment and no two holders can have one address. Memory is only a copy of the directory. Addresses are given
 * out of the first `together` of a range as long as there are free ones.
 */
export const createAddressLeases = (directory: string, together = Number.POSITIVE_INFINITY) => {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const holders = new Map<string, string>()
  const addresses = new Map<string, string>()
  const cursor = join(directory, '.last')

  const remember = (address: string, id: string) => {
    holders.set(address, id)
    addresses.set(id, address)
  }
  const forget = (address: string) => {
    const id = holders.get(address)
    holders.delete(address)
    if (id !== undefined && addresses.get(id) === address) addresses.delete(id)
  }
  const load = () => {
    holders.clear()
    addresses.clear()
    for (const address of readdirSync(directory).filter((name) => isIPv4(name))) {
      const id = linkTarget(join(directory, address))
      if (id !== undefined) remember(address, id)
    }
  }

  /** True when the address is now the container's; false when another holder was quicker. */
  const take = (address: string, id: string): boolean => {
    try {
      symlinkSync(id, join(directory, address))
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
      remember(address, linkTarget(join(directory, address)) ?? '')
      return false
    }
    remember(address, id)
    rmSync(`${cursor}.new`, { force: true })
    symlinkSync(address, `${cursor}.new`)
    renameSync(`${cursor}.new`, cursor)
    return true
  }

  /** Begins behind the last address that was given, so that a released one rests as long as possible. */
  const nextIn = (
    id: string,
    { first, last }: AddressRange,
    isFree: (address: string) => boolean,
  ): string | undefined => {
    const count = last - first + 1
    const given = addressNumber(linkTarget(cursor) ?? addressText(first - 1))
    const start = given >= first && given <= last ? given - first + 1 : 0
    for (let step = 0; step < count; step++) {
      const address = addressText(first + ((start + step) % count))
      if (!holders.has(address) && isFree(address) && take(address, id)) return address
    }
    return undefined
  }

  /** Of the first so many addresses that have a free one: further bridges are for those who need them. */
  const next = (
    id: string,
    { first, last }: AddressRange,
    isFree: (address: string) => boolean,
  ): string | undefined => {
    for (let from = first; from <= last; from += together) {
      const address = nextIn(id, { first: from, last: Math.min(last, from + together - 1) }, isFree)
      if (address !== undefined) return address
    }
    return undefined
  }

  load()
  return {
    load,
    /** Every lease as the directory shows it. */
    all: () => {
      load()
      return [...holders].map(([address, id]) => ({ address, id }))
    },
    /** The container's address: the one it has, else a free one of the range. Throws `Failure` (`no_capacity`). */
    lease: (id: string, range: AddressRange, isFree: (address: string) => boolean = () => true): string => {
      const had = addresses.get(id)
      if (had !== undefined && linkTarget(join(directory, had)) === id) return had
      if (had !== undefined) load()
      const address = addresses.get(id) ?? next(id, range, isFree)
      if (address !== undefined) return address
      const [first, last] = [addressText(range.first), addressText(range.last)]
      throw new Failure(
        'no_capacity',
        `cannot lease an address to ${id}: all ${range.last - range.first + 1} from ${first} to ${last} are in use`,
        { details: { first, last, leased: holders.size } },
      )
    },
    /** Gives the container's address back; absent is success. */
    release: (id: string): void => {
      if (!addresses.has(id)) load()
      for (const [address, holder] of holders) {
        if (holder !== id) continue
        rmSync(join(directory, address), { force: true })
        forget(address)
      }
    },
  }
}

export type AddressLeases = ReturnType<typeof createAddressLeases>

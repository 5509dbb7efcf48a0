import { readFileSync } from 'node:fs'
import { isIP, isIPv4 } from 'node:net'
import { errnoOf } from '../../shared/failure.ts'

/** Name servers and search domains of a resolv.conf. */
export interface Resolver {
  nameservers: string[]
  search: string[]
}

/** What a resolv.conf says; the last `search` or `domain` line counts, as in resolv.conf(5). */
export const parseResolver = (text: string): Resolver => {
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/))
  const nameservers = lines.flatMap(([key, value]) =>
    key === 'nameserver' && value && isIP(value) ? [value] : [],
  )
  const search = lines.findLast(([key]) => key === 'search' || key === 'domain')?.slice(1) ?? []
  return { nameservers, search: search.filter((domain) => domain !== '.') }
}

/** Synchronous, as all look-ups on the launch path: a turn of the thread pool takes longer. */
const resolverOf = (path: string): Resolver => {
  try {
    return parseResolver(readFileSync(path, 'utf8'))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return { nameservers: [], search: [] }
    throw error
  }
}

/** A container reaches neither the host's loopback nor, without an address of that family, IPv6 servers. */
const isReachable = (server: string): boolean => isIPv4(server) && !server.startsWith('127.')

const fallback = '8.8.8.8'

/** What a container in the host's own network resolves with: what was given, else the host's own settings. */
export const hostResolver = (given: Resolver): Resolver => {
  const host = resolverOf('/etc/resolv.conf')
  return {
    nameservers: given.nameservers.length > 0 ? given.nameservers : host.nameservers,
    search: given.search.length > 0 ? given.search : host.search,
  }
}

/** What a container on the bridge resolves with: what was given, else those of the host's servers it can reach. */
export const bridgeResolver = (given: Resolver): Resolver => {
  if (given.nameservers.length > 0 && given.search.length > 0) return given
  const host = resolverOf('/etc/resolv.conf')
  let reachable = host.nameservers.filter(isReachable)
  if (reachable.length === 0 && host.nameservers.length > 0) {
    // Behind a stub on 127.0.0.53, systemd-resolved lists its real servers here.
    reachable = resolverOf('/run/systemd/resolve/resolv.conf').nameservers.filter(isReachable)
  }
  return {
    nameservers:
      given.nameservers.length > 0 ? given.nameservers : reachable.length > 0 ? reachable : [fallback],
    search: given.search.length > 0 ? given.search : host.search,
  }
}

import { readFileSync } from 'node:fs'

/** What the files say that the container gets over its own `/etc`. */
export interface HostFiles {
  hostname: string
  domainname?: string
  address: string | null
  extraHosts: string[]
  nameservers: string[]
  search: string[]
}

/** Compose writes `name:address` or `name=address`; an address may have colons itself. */
const hostsLine = (entry: string): string => {
  const [, name = '', address = ''] = /^([^:=]+)[:=]\[?(.*?)\]?$/.exec(entry) ?? []
  return `${address}\t${name}`
}

/** `/etc/hosts`: the loopback names, the container's own, and the extra ones. */
export const hostsFile = ({ hostname, domainname, address, extraHosts }: HostFiles): string => {
  const own = domainname ? `${hostname}.${domainname} ${hostname}` : hostname
  return [
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    ...(address ? [`${address.split('/')[0]}\t${own}`] : []),
    ...extraHosts.map(hostsLine),
    '',
  ].join('\n')
}

/** `/etc/resolv.conf`. */
export const resolverFile = ({ nameservers, search }: HostFiles): string =>
  [
    ...(search.length > 0 ? [`search ${search.join(' ')}`] : []),
    ...nameservers.map((server) => `nameserver ${server}`),
    '',
  ].join('\n')

/** Nameservers of the host that a container can reach too: not those on the host's own loopback. */
export const hostNameservers = (file = '/etc/resolv.conf'): string[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? '')
    .filter((server) => server !== '' && !/^(127\.|::1$)/.test(server))

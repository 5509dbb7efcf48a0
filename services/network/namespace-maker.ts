import { type Coprocess, errnoWords } from '../../shared/coprocess.ts'
import { Failure } from '../../shared/failure.ts'
import { type Recorder, type TranscriptEntry, shellLine } from '../../shared/recorder.ts'

/** The interface that a container's network namespace is given. */
export interface Interface {
  /** Name of the end that stays with the host, and whose it is. */
  veth: string
  alias: string
  bridge: string
  address: string
  prefixLength: number
  gateway: string
  hardwareAddress: string
  /** Reaches no other port of the bridge that is isolated too. */
  isolated: boolean
}

/** A named network namespace to make; without ids it belongs to the host's user namespace. */
export interface NewNamespace {
  name: string
  path: string
  ids: { first: number; count: number } | undefined
  link: Interface | undefined
}

const queues = 'numtxqueues 1 numrxqueues 1'

/** What a shell would do, in the order in which the program does it. */
const equivalents = ({ name, ids, link }: NewNamespace): string[] => {
  const map = ids && shellLine(['echo', `0 ${ids.first} ${ids.count}`])
  const inside = 'nsenter --net=/proc/$pid/ns/net ip'
  return [
    `unshare ${ids ? '--user ' : ''}--net sleep infinity & pid=$!`,
    map ? `${map} > /proc/$pid/uid_map; ${map} > /proc/$pid/gid_map` : '',
    link
      ? `ip link add name ${link.veth} ${queues} master ${link.bridge} type veth peer name eth0 ${queues} address ${link.hardwareAddress} netns $pid; ` +
        `ip link set dev ${link.veth} addrgenmode none; ip link set dev ${link.veth} up alias ${link.alias}` +
        (link.isolated ? ' type bridge_slave isolated on' : '')
      : '',
    `${inside} link set dev lo up` +
      (link
        ? `; ${inside} link set dev eth0 addrgenmode none; ${inside} link set dev eth0 up; ${inside} address add ${link.address}/${link.prefixLength} broadcast + dev eth0; ` +
          `${inside} route add default via ${link.gateway}`
        : ''),
    `ip netns attach ${name} $pid; kill $pid`,
  ]
}

const wordsOf = ({ path, ids, link }: NewNamespace): string[] => {
  const words = ['make', path, String(ids?.first ?? 0), String(ids?.count ?? 0)]
  if (!link) return words
  const { veth, bridge, alias, address, prefixLength, gateway, hardwareAddress, isolated } = link
  words.push(veth, bridge, alias, address, String(prefixLength), gateway, hardwareAddress)
  return [...words, isolated ? 'isolated' : '-']
}

/**
 * Makes named network namespaces by a native program: `unshare` and `ip` would be two programs for each
 * container, which take longer to start than the kernel takes for all of it.
 */
export const createNamespaceMaker = (program: Coprocess) => ({
  /** Makes the namespace with its interface; its name comes last, so one that has a name is whole. Throws `Failure`. */
  make: async (record: Recorder, namespace: NewNamespace): Promise<void> => {
    const { errno, said } = await program.ask(wordsOf(namespace))
    const lines = equivalents(namespace)
    const took = said.split(' ').filter((text) => text !== '')
    const entries = took.map((nanoseconds, at): TranscriptEntry => ({
      kind: 'call',
      equivalent: lines[at] ?? '',
      durationMs: Math.round(Number(nanoseconds) / 1000) / 1000,
    }))
    const failed = entries.at(-1)
    const reason = errnoWords(errno).join(': ')
    if (errno !== 0 && failed) failed.error = reason
    record.append(entries.filter(({ equivalent }) => equivalent !== ''))
    if (errno !== 0)
      throw new Failure('system', `${failed?.equivalent ?? `ip netns attach ${namespace.path}`}: ${reason}`)
  },
})

export type NamespaceMaker = ReturnType<typeof createNamespaceMaker>

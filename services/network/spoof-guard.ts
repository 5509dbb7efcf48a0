import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { join } from 'node:path'
import type { Config } from '../../shared/config.ts'
import { Failure } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'

/** With one of these a container can send frames under any address, packet(7) and netdevice(7). */
const forging = new Set(['CAP_NET_RAW', 'CAP_NET_ADMIN'])

/** Whether a container with these capabilities has to be held to its own addresses. */
export const canForge = (capabilities: readonly string[]): boolean =>
  capabilities.some((capability) => forging.has(capability))

const hex = (byte: string): string => Number(byte).toString(16).padStart(2, '0')

/** The hardware address of a container's `eth0`: locally administered, and made of its address as Docker does. */
export const hardwareAddressOf = (address: string): string =>
  ['02', '42', ...address.split('.').map(hex)].join(':')

/**
 * The table that drops, where they enter the bridge, frames of guarded ports under other addresses than the
 * port's own; IPv6 too, which no container is given. Sent again it changes no element.
 */
export const guardTable = ({ names: { nftTable } }: Config): string => `table bridge ${nftTable} {
  set guarded { type ifname; }
  set bindings { type ifname . ether_addr . ipv4_addr; }
  chain prerouting { type filter hook prerouting priority -300; policy accept; }
}
flush chain bridge ${nftTable} prerouting
table bridge ${nftTable} {
  chain prerouting {
    iifname != @guarded accept
    ether type ip iifname . ether saddr . ip saddr @bindings accept
    ether type arp iifname . ether saddr . arp saddr ip @bindings iifname . arp saddr ether . arp saddr ip @bindings accept
    drop
  }
}
`

/** Holds a container's port to its addresses; the marks on disk say whose, so that nobody else's end costs anything. */
export const createSpoofGuard = (config: Config) => {
  const { names } = config
  const marks = join(names.networkState, 'guards')
  const markOf = (id: string): string => join(marks, id)
  const table = `bridge ${names.nftTable}`
  const elementsOf = (id: string, address: string): string[] => [
    `bindings { "${names.veth(id)}" . ${hardwareAddressOf(address)} . ${address} }`,
    `guarded { "${names.veth(id)}" }`,
  ]

  const everyone = (): string[] =>
    (existsSync(marks) ? readdirSync(marks) : []).flatMap((id) => {
      const address = readFileSync(markOf(id), 'utf8')
      return isIPv4(address)
        ? elementsOf(id, address).map((element) => `add element ${table} ${element}`)
        : []
    })

  const change = async (record: Recorder, lines: readonly string[]): Promise<void> => {
    const input = `${lines.join('\n')}\n`
    try {
      await record.run('nft', ['-f', '-'], { input })
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      // Somebody may have flushed the whole ruleset, as a restart of Debian's nftables.service does.
      const restored = [guardTable(config), ...everyone(), input].join('\n')
      await record.run('nft', ['-f', '-'], { input: restored })
    }
  }

  return {
    /** Every container that is guarded. */
    all: (): string[] => (existsSync(marks) ? readdirSync(marks) : []),
    guard: async (record: Recorder, id: string, address: string): Promise<void> => {
      mkdirSync(marks, { recursive: true, mode: 0o700 })
      writeFileSync(markOf(id), address, { mode: 0o600 })
      await change(
        record,
        elementsOf(id, address).map((element) => `add element ${table} ${element}`),
      )
    },
    /** Guards everyone anew whose mark is there, in tables that have just been made. */
    restore: async (record: Recorder): Promise<void> => {
      const lines = everyone()
      if (lines.length > 0) await change(record, lines)
    },
    /** Absent is success. */
    release: async (record: Recorder, id: string): Promise<void> => {
      if (!existsSync(markOf(id))) return
      const address = readFileSync(markOf(id), 'utf8')
      // A power loss may have emptied the mark; it has emptied the kernel's sets too.
      const elements = isIPv4(address) ? elementsOf(id, address) : []
      // Added first: to delete what is not there is an error.
      const lines = elements.flatMap((element) =>
        ['add', 'delete'].map((verb) => `${verb} element ${table} ${element}`),
      )
      if (lines.length > 0) await change(record, lines)
      rmSync(markOf(id), { force: true })
    },
  }
}

export type SpoofGuard = ReturnType<typeof createSpoofGuard>

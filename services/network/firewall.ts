import type { Config } from '../../shared/config.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { guardTable } from './spoof-guard.ts'
import { type Subnet, subnetText } from './subnet.ts'

/**
 * The stack's whole table. Containers reach out under the host's address; from outside their bridge only
 * replies reach them, because a host that forwards would otherwise route its neighbours to them. The rules are for
 * further bridges too (`*`): with br_netfilter, which Docker loads, they see what is only bridged.
 */
export const ruleset = (
  { names: { nftTable, bridge }, icc }: Config,
  subnet: Subnet,
): string => `table inet ${nftTable}
delete table inet ${nftTable}
table inet ${nftTable} {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${subnetText(subnet)} oifname != "${bridge}*" masquerade
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ${icc ? '' : `iifname "${bridge}" oifname "${bridge}" drop`}
    iifname != "${bridge}*" oifname "${bridge}*" ct state established,related accept
    iifname != "${bridge}*" oifname "${bridge}*" drop
  }
}
`

/** Replaces the stack's nftables tables in one transaction; whom the guard guards stays. */
export const ensureFirewall = async (record: Recorder, config: Config, subnet: Subnet): Promise<void> => {
  await record.run('nft', ['-f', '-'], { input: `${ruleset(config, subnet)}${guardTable(config)}` })
}

/** Removes the stack's tables; absent is success. */
export const removeFirewall = async (record: Recorder, { names: { nftTable } }: Config): Promise<void> => {
  const tables = [`inet ${nftTable}`, `bridge ${nftTable}`]
  const lines = tables.flatMap((table) => [`table ${table}`, `delete table ${table}`])
  await record.run('nft', ['-f', '-'], { input: `${lines.join('\n')}\n` })
}

/** True when the stack's table is there. */
export const hasFirewall = async (record: Recorder, { names: { nftTable } }: Config): Promise<boolean> =>
  (await record.run('nft', ['list', 'tables', 'inet'])).split('\n').includes(`table inet ${nftTable}`)

import type { Command } from 'commander'
import { printJson, printLine } from '../output/print.ts'
import { withSession } from './bus/session.ts'
import { type StackDescription, describeStack } from './info/stack-description.ts'

const lines = ({ nats, versions, services, ...rest }: StackDescription): [string, string][] => [
  ['node', rest.node],
  ['root', rest.root],
  ['bridge', rest.bridge],
  ['subnet', rest.subnet ?? 'unknown: the network service does not answer'],
  ['gateway', rest.gateway ?? 'unknown'],
  ['cgroup', rest.cgroup],
  ['nftables', rest.nftTable],
  ['nats', `${nats.url} as ${nats.user ?? 'anyone'} (the password is in "dolly info --json")`],
  ['versions', `dolly ${versions.dolly}, node ${versions.node}, nats-server ${versions.nats}`],
  ...services.map(({ name, running, pids }): [string, string] => [
    name,
    running ? `running${pids.length > 0 ? `, process ${pids.join(' and ')}` : ''}` : 'does not answer',
  ]),
]

const info = async ({ json }: { json?: boolean }): Promise<void> => {
  const description = await withSession(describeStack)
  if (json) return printJson(description)
  const shown = lines(description)
  const width = Math.max(...shown.map(([key]) => key.length)) + 2
  for (const [key, value] of shown) printLine(`${`${key}:`.padEnd(width)}${value}`)
}

export const configure = (command: Command): void => {
  command.option('--json', "print JSON, with the client role's password").action(info)
}

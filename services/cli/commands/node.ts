import type { Command } from 'commander'
import type { Node } from '../../../shared/contracts/node.ts'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { forEachTarget } from '../output/failure.ts'
import { printJson, printLine } from '../output/print.ts'
import { table } from '../output/table.ts'
import { ask } from './bus/ask.ts'
import { withSession } from './bus/session.ts'

const words: Record<Node['status'], string> = { ready: 'Ready', unhealthy: 'Unhealthy', down: 'Down' }

const list = async ({ quiet, json }: { quiet?: boolean; json?: boolean }): Promise<void> => {
  const { nodes, here } = await withSession(async ({ bus, config }) => ({
    ...(await ask(bus, verbs.nodeList, {})),
    here: config.node,
  }))
  if (json) return printJson(nodes)
  if (quiet) return nodes.forEach(({ name }) => printLine(name))
  // As Docker does, the node that this command runs on has a star.
  const rows = nodes.map(({ name, status, version }) => [
    name === here ? `${name} *` : name,
    words[status],
    version,
  ])
  printLine(table(['HOSTNAME', 'STATUS', 'ENGINE VERSION'], rows))
}

const inspect = async (names: string[]): Promise<void> => {
  const found: Node[] = []
  await withSession(({ bus }) =>
    forEachTarget('node inspect', names, async (node) => {
      found.push(await ask(bus, verbs.nodeGet, { node }))
    }),
  ).finally(() => printJson(found))
}

export const configure = (command: Command): void => {
  command
    .command('ls')
    .alias('list')
    .description('list nodes')
    .option('-q, --quiet', 'only names')
    .option('--json', 'print JSON')
    .action(list)
  command
    .command('inspect')
    .description('show capacity, use, labels, features and services of nodes')
    .argument('<node...>', 'name')
    .action(inspect)
}

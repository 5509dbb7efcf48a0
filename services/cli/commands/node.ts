import type { Command } from 'commander'
import type { Node } from '../../../shared/contracts/node.ts'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { busAccess, loadConfig } from '../../../shared/config.ts'
import { durationMs } from '../../../shared/contracts/quantity.ts'
import { Failure } from '../../../shared/failure.ts'
import { giveToken } from '../join/give-token.ts'
import { forEachTarget } from '../output/failure.ts'
import { printJson, printLine, remark } from '../output/print.ts'
import { table } from '../output/table.ts'
import { ask } from './bus/ask.ts'
import { askRemoval } from './bus/ask-again.ts'
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
  const rows = nodes.map(({ name, status, role, version }) => [
    name === here ? `${name} *` : name,
    words[status],
    role,
    version,
  ])
  printLine(table(['HOSTNAME', 'STATUS', 'ROLE', 'ENGINE VERSION'], rows))
}

const inspect = async (names: string[]): Promise<void> => {
  const found: Node[] = []
  await withSession(({ bus }) =>
    forEachTarget('node inspect', names, async (node) => {
      found.push(await ask(bus, verbs.nodeGet, { node }))
    }),
  ).finally(() => printJson(found))
}

const span = (text: string): number => {
  const ms = durationMs(text)
  if (ms) return ms
  throw new Failure('invalid_message', `cannot use --ttl "${text}": give a time as "1h"`)
}

const token = async ({ node, ttl, json }: { node?: string; ttl: string; json?: boolean }): Promise<void> => {
  const config = loadConfig()
  const { token: made, text } = await giveToken(config, { node: node ?? null, ttlMs: span(ttl) })
  if (json) return printJson({ token: text, node: made.node, expiresAt: made.expiresAt })
  printLine(text)
  const { url } = busAccess(config, 'operator')
  const whom = made.node ? `node ${made.node}` : 'any node'
  remark(`once, until ${made.expiresAt}, for ${whom}: dolly join ${url} --token …`)
}

const remove = async (names: string[], { force = false }: { force?: boolean }): Promise<void> => {
  await withSession(({ bus }) =>
    forEachTarget('node rm', names, async (node) => {
      await askRemoval(bus, verbs.nodeRemove, { node, force })
      printLine(node)
    }),
  )
}

const giveRole =
  (action: string, role: Node['role']) =>
  async (names: string[]): Promise<void> => {
    await withSession(({ bus }) =>
      forEachTarget(`node ${action}`, names, async (node) => {
        await ask(bus, verbs.nodeUpdate, { node, role })
        printLine(node)
      }),
    )
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
  command
    .command('token')
    .description("make a token with which one host may join this host's bus")
    .option('--node <name>', 'only as the node of this name')
    .option('--ttl <time>', 'how long it may be used', '1h')
    .option('--json', 'print JSON')
    .action(token)
  command
    .command('promote')
    .description('let the root of nodes that have joined do what an operator may')
    .argument('<node...>', 'name')
    .action(giveRole('promote', 'operator'))
  command
    .command('demote')
    .description('let the root of nodes do only what a client may')
    .argument('<node...>', 'name')
    .action(giveRole('demote', 'client'))
  command
    .command('rm')
    .alias('remove')
    .description('take empty nodes out')
    .argument('<node...>', 'name')
    .option('-f, --force', 'though its services still answer')
    .action(remove)
}

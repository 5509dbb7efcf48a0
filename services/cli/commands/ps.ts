import type { Command } from 'commander'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { commandColumn, shortIds, statusColumn } from '../output/container-columns.ts'
import { printJson, printLine } from '../output/print.ts'
import { table } from '../output/table.ts'
import { ago } from '../output/time.ts'
import { askPages } from './bus/ask.ts'
import { withSession } from './bus/session.ts'

interface PsFlags {
  all?: boolean
  quiet?: boolean
  trunc: boolean
  json?: boolean
}

const head = ['CONTAINER ID', 'IMAGE', 'COMMAND', 'CREATED', 'STATUS', 'NAMES']

const ps = async ({ all = false, quiet, trunc, json }: PsFlags): Promise<void> => {
  const pages = await withSession(({ bus }) => askPages(bus, verbs.containerList, { all }))
  const newestFirst = pages.flatMap(({ containers }) => containers)
  if (json) return printJson(newestFirst)
  const ids = trunc ? shortIds(newestFirst.map(({ id }) => id)) : newestFirst.map(({ id }) => id)
  if (quiet) return ids.forEach(printLine)
  const rows = newestFirst.map((container, index) => [
    ids[index] ?? '',
    container.image,
    commandColumn(container, { full: !trunc }),
    ago(container.createdAt),
    statusColumn(container),
    container.name,
  ])
  printLine(table(head, rows))
}

export const configure = (command: Command): void => {
  command
    .option('-a, --all', 'show stopped, failed and stuck containers too')
    .option('-q, --quiet', 'print only ids')
    .option('--no-trunc', 'do not shorten')
    .option('--json', 'print JSON')
    .action(ps)
}

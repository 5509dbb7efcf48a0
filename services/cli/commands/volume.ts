import type { Command } from 'commander'
import { ulid } from 'ulid'
import type { Volume } from '../../../shared/contracts/operations.ts'
import { quantity } from '../../../shared/contracts/quantity.ts'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { Failure } from '../../../shared/failure.ts'
import { forEachTarget } from '../output/failure.ts'
import { printJson, printLine } from '../output/print.ts'
import { byteSize } from '../output/size.ts'
import { table } from '../output/table.ts'
import { ago } from '../output/time.ts'
import { ask } from './bus/ask.ts'
import { withSession } from './bus/session.ts'
import { keyValues } from './launch/key-values.ts'
import { collect } from './option-values.ts'

interface CreateFlags {
  label?: string[]
  opt?: string[]
  json?: boolean
}

const sizeOf = (options: readonly string[]): number | null => {
  const { size, ...others } = keyValues(options)
  const [unknown] = Object.keys(others)
  if (unknown !== undefined)
    throw new Failure('invalid_message', `cannot use --opt "${unknown}": there is only size, as size=2G`)
  if (size === undefined) return null
  const bytes = quantity(size)
  if (!bytes) throw new Failure('invalid_message', `cannot use --opt "size=${size}": give a size as 2G`)
  return bytes
}

const create = async (
  name: string | undefined,
  { label = [], opt = [], json }: CreateFlags,
): Promise<void> => {
  const input = { name: name ?? ulid().toLowerCase(), sizeBytes: sizeOf(opt), labels: keyValues(label) }
  const volume = await withSession(({ bus }) => ask(bus, verbs.volumeCreate, input))
  if (json) printJson(volume)
  else printLine(volume.name)
}

const rowOf = ({ name, createdAt, sizeBytes, containers }: Volume): string[] => [
  name,
  createdAt ? ago(createdAt) : '-',
  sizeBytes === null ? '-' : byteSize(sizeBytes),
  String(containers.length),
]

const list = async ({ quiet, json }: { quiet?: boolean; json?: boolean }): Promise<void> => {
  const { volumes } = await withSession(({ bus }) => ask(bus, verbs.volumeList, {}))
  if (json) return printJson(volumes)
  if (quiet) return volumes.forEach(({ name }) => printLine(name))
  printLine(table(['VOLUME NAME', 'CREATED', 'LIMIT', 'CONTAINERS'], volumes.map(rowOf)))
}

const inspect = async (names: string[]): Promise<void> => {
  const found: Volume[] = []
  await withSession(({ bus }) =>
    forEachTarget('volume inspect', names, async (name) => {
      found.push(await ask(bus, verbs.volumeInspect, { name }))
    }),
  )
  printJson(found)
}

const remove = async (names: string[], { json }: { json?: boolean }): Promise<void> => {
  await withSession(({ bus }) =>
    forEachTarget('volume rm', names, async (name) => {
      const removed = await ask(bus, verbs.volumeRemove, { name }, { timeoutMs: 120_000 })
      if (json) printJson(removed)
      else printLine(removed.name)
    }),
  )
}

export const configure = (command: Command): void => {
  command
    .command('create')
    .description('make a volume')
    .argument('[name]', 'its name; one is made up when it is left out')
    .option('--label <key=value>', 'set a label', collect)
    .option('-o, --opt <size=bytes>', 'what it may hold', collect)
    .option('--json', 'print JSON')
    .action(create)
  command
    .command('ls')
    .alias('list')
    .description('list volumes')
    .option('-q, --quiet', 'only names')
    .option('--json', 'print JSON')
    .action(list)
  command
    .command('inspect')
    .description('show everything known of volumes')
    .argument('<volume...>', 'name')
    .action(inspect)
  command
    .command('rm')
    .alias('remove')
    .description('delete volumes that no container has, with their content')
    .argument('<volume...>', 'name')
    .option('--json', 'print JSON')
    .action(remove)
}

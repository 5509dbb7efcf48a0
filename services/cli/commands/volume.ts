import type { Command } from 'commander'
import { ulid } from 'ulid'
import type { Volume } from '../../../shared/contracts/operations.ts'
import { quantity } from '../../../shared/contracts/quantity.ts'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { Failure } from '../../../shared/failure.ts'
import { ExitCode, forEachTarget } from '../output/failure.ts'
import { printJson, printLine } from '../output/print.ts'
import { byteSize } from '../output/size.ts'
import { table } from '../output/table.ts'
import { ago } from '../output/time.ts'
import { ask } from './bus/ask.ts'
import { lookAtNodes, nodeMeant, withNodes } from './bus/nodes.ts'
import { type Session, withSession } from './bus/session.ts'
import { keyValues } from './launch/key-values.ts'
import { collect } from './option-values.ts'

interface CreateFlags {
  label?: string[]
  opt?: string[]
  json?: boolean
  node?: string
}

/** What is asked of the node that is meant. */
const on = async <T extends object>(session: Session, wish: string | undefined, input: T) => {
  const node = await nodeMeant(session, wish)
  return node === undefined ? input : { ...input, node }
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
  { label = [], opt = [], json, node }: CreateFlags,
): Promise<void> => {
  const input = { name: name ?? ulid().toLowerCase(), sizeBytes: sizeOf(opt), labels: keyValues(label) }
  const volume = await withSession(async (session) =>
    ask(session.bus, verbs.volumeCreate, await on(session, node, input)),
  )
  if (json) printJson(volume)
  else printLine(volume.name)
}

const rowOf = ({ name, createdAt, sizeBytes, containers }: Volume): string[] => [
  name,
  createdAt ? ago(createdAt) : '-',
  sizeBytes === null ? '-' : byteSize(sizeBytes),
  String(containers.length),
]

interface ListFlags {
  quiet?: boolean
  json?: boolean
  node?: string
}

const list = async ({ quiet, json, node: wish }: ListFlags): Promise<void> => {
  const volumes = await withSession((session) =>
    lookAtNodes(
      session,
      wish,
      async (node) => (await ask(session.bus, verbs.volumeList, node ? { node } : {})).volumes,
    ),
  )
  const { several, found, missing } = volumes
  const rows = found.map(({ node, item }) => (several ? [...rowOf(item), node] : rowOf(item)))
  const head = ['VOLUME NAME', 'CREATED', 'LIMIT', 'CONTAINERS', ...(several ? ['NODE'] : [])]
  if (json) printJson(withNodes(volumes))
  else if (quiet) found.forEach(({ item }) => printLine(item.name))
  else printLine(table(head, rows))
  if (missing) throw new ExitCode(1)
}

const inspect = async (names: string[], { node: wish }: { node?: string }): Promise<void> => {
  const found: Volume[] = []
  await withSession(async (session) => {
    const where = await on(session, wish, {})
    await forEachTarget('volume inspect', names, async (name) => {
      found.push(await ask(session.bus, verbs.volumeInspect, { name, ...where }))
    })
  })
  printJson(found)
}

const remove = async (
  names: string[],
  { json, node: wish }: { json?: boolean; node?: string },
): Promise<void> => {
  await withSession(async (session) => {
    const where = await on(session, wish, {})
    await forEachTarget('volume rm', names, async (name) => {
      const removed = await ask(session.bus, verbs.volumeRemove, { name, ...where }, { timeoutMs: 120_000 })
      if (json) printJson(removed)
      else printLine(removed.name)
    })
  })
}

export const configure = (command: Command): void => {
  command
    .command('create')
    .description('make a volume')
    .argument('[name]', 'its name; one is made up when it is left out')
    .option('--label <key=value>', 'set a label', collect)
    .option('-o, --opt <size=bytes>', 'what it may hold', collect)
    .option('--node <name>', 'on this node; by default on this host')
    .option('--json', 'print JSON')
    .action(create)
  command
    .command('ls')
    .alias('list')
    .description('list volumes')
    .option('-q, --quiet', 'only names')
    .option('--node <name>', 'only those of this node')
    .option('--json', 'print JSON')
    .action(list)
  command
    .command('inspect')
    .description('show everything known of volumes')
    .argument('<volume...>', 'name')
    .option('--node <name>', 'on this node; by default on this host')
    .action(inspect)
  command
    .command('rm')
    .alias('remove')
    .description('delete volumes that no container has, with their content')
    .argument('<volume...>', 'name')
    .option('--node <name>', 'on this node; by default on this host')
    .option('--json', 'print JSON')
    .action(remove)
}

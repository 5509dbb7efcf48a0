import type { Command } from 'commander'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { forEachTarget } from '../output/failure.ts'
import { printJson, printLine } from '../output/print.ts'
import { ask } from './bus/ask.ts'
import { withSession } from './bus/session.ts'
import { configOf } from './images/changes.ts'
import { configure as configureList } from './images.ts'
import { tarPath } from './images/spool.ts'
import { collect } from './option-values.ts'

/** A large tar is unpacked at the disk's pace. */
const importMs = 30 * 60_000

const importImage = async (
  reference: string,
  tar: string,
  { change = [], json }: { change?: string[]; json?: boolean },
): Promise<void> => {
  const config = configOf(change)
  await using file = await tarPath(tar)
  const image = await withSession(({ bus }) =>
    ask(bus, verbs.imageImport, { reference, path: file.path, config }, { timeoutMs: importMs }),
  )
  if (json) printJson(image)
  else printLine(image.digest)
}

const removeImages = async (references: string[], { json }: { json?: boolean }): Promise<void> => {
  await withSession(({ bus }) =>
    forEachTarget('image rm', references, async (reference) => {
      const removed = await ask(bus, verbs.imageRemove, { reference }, { timeoutMs: 120_000 })
      if (json) return printJson(removed)
      for (const tag of removed.untagged) printLine(`Untagged: ${tag}`)
      for (const digest of removed.deleted) printLine(`Deleted: ${digest}`)
    }),
  )
}

export const configure = (command: Command): void => {
  command
    .command('import')
    .description('make an image of a tar, as "docker export" writes it')
    .argument('<name>', 'name[:tag] of the image')
    .argument('<tar>', 'tar file, or - for standard input')
    .option('-c, --change <instruction>', 'set CMD, ENTRYPOINT, ENV, WORKDIR, USER or STOPSIGNAL', collect)
    .option('--json', 'print JSON')
    .action(importImage)
  configureList(command.command('ls').alias('list').description('list images'))
  command
    .command('rm')
    .alias('remove')
    .description('remove images')
    .argument('<image...>', 'name[:tag] or id')
    .option('--json', 'print JSON')
    .action(removeImages)
}

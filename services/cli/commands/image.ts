import type { Command } from 'commander'
import { imageImport as hostImport, imageRemove as hostRemove } from '../../../shared/contracts/operations.ts'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { forEachTarget } from '../output/failure.ts'
import { printJson, printLine } from '../output/print.ts'
import { ask, askHost } from './bus/ask.ts'
import { nodeMeant } from './bus/nodes.ts'
import { type Session, withSession } from './bus/session.ts'
import { configOf } from './images/changes.ts'
import { configure as configureList } from './images.ts'
import { tarPath } from './images/spool.ts'
import { upload } from './images/upload.ts'
import { collect } from './option-values.ts'

/** A large tar is unpacked at the disk's pace. */
const importMs = 30 * 60_000
const removeMs = 120_000

/** Of a host that has joined, root imports and removes on its own node; elsewhere that is an operator's word. */
const owns = ({ config }: Session, node: string | undefined): node is string =>
  config.joined !== undefined && node === config.node

interface ImportFlags {
  change?: string[]
  json?: boolean
  node?: string
}

const importImage = async (
  reference: string,
  tar: string,
  { change = [], json, node: wish }: ImportFlags,
): Promise<void> => {
  const config = configOf(change)
  const image = await withSession(async (session) => {
    const node = await nodeMeant(session, wish)
    const asked = { reference, config, ...(node === undefined ? {} : { node }) }
    if (node !== undefined && node !== session.config.node) {
      const sent = { ...asked, upload: await upload(session.bus, node, tar) }
      return ask(session.bus, verbs.imageImport, sent, { timeoutMs: importMs })
    }
    using file = await tarPath(tar)
    const { path } = file
    return owns(session, node)
      ? askHost(session.bus, node, hostImport, { reference, config, path }, importMs)
      : ask(session.bus, verbs.imageImport, { ...asked, path }, { timeoutMs: importMs })
  })
  if (json) printJson(image)
  else printLine(image.digest)
}

const removeImages = async (
  references: string[],
  { json, node: wish }: { json?: boolean; node?: string },
): Promise<void> => {
  await withSession(async (session) => {
    const node = await nodeMeant(session, wish)
    const where = node === undefined ? {} : { node }
    await forEachTarget('image rm', references, async (reference) => {
      const removed = owns(session, node)
        ? await askHost(session.bus, node, hostRemove, { reference }, removeMs)
        : await ask(session.bus, verbs.imageRemove, { reference, ...where }, { timeoutMs: removeMs })
      if (json) return printJson(removed)
      for (const tag of removed.untagged) printLine(`Untagged: ${tag}`)
      for (const digest of removed.deleted) printLine(`Deleted: ${digest}`)
    })
  })
}

export const configure = (command: Command): void => {
  command
    .command('import')
    .description('make an image of a tar, as "docker export" writes it')
    .argument('<name>', 'name[:tag] of the image')
    .argument('<tar>', 'tar file, or - for standard input')
    .option('-c, --change <instruction>', 'set CMD, ENTRYPOINT, ENV, WORKDIR, USER or STOPSIGNAL', collect)
    .option('--node <name>', 'on this node; by default on this host')
    .option('--json', 'print JSON')
    .action(importImage)
  configureList(command.command('ls').alias('list').description('list images'))
  command
    .command('rm')
    .alias('remove')
    .description('remove images')
    .argument('<image...>', 'name[:tag] or id')
    .option('--node <name>', 'on this node; by default on this host')
    .option('--json', 'print JSON')
    .action(removeImages)
}

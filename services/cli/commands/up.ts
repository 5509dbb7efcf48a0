import type { Command } from 'commander'
import { loadConfig } from '../../../shared/config.ts'
import { printJson, remark } from '../output/print.ts'
import { up as startStack } from '../stack/up.ts'

interface UpFlags {
  detach?: boolean
  quiet?: boolean
  json?: boolean
}

const up = async ({ detach = false, quiet = false, json = false }: UpFlags): Promise<void> => {
  await startStack(loadConfig(), {
    detach,
    ...(quiet ? {} : { onProgress: remark }),
    onReady: (info) => {
      if (json) printJson(info)
      if (!quiet) remark(`ready: node ${info.node}, root ${info.root}, NATS at ${info.url}`)
    },
  })
}

export const configure = (command: Command): void => {
  command
    .option('-d, --detach', 'run it in the background, and return when it is ready')
    .option('-q, --quiet', 'do not show progress')
    .option('--json', 'print where things are as JSON')
    .action(up)
}

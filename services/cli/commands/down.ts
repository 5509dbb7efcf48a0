import type { Command } from 'commander'
import { loadConfig } from '../../../shared/config.ts'
import { printJson, remark } from '../output/print.ts'
import { down as stopStack } from '../stack/down.ts'

const down = async ({ quiet, json }: { quiet?: boolean; json?: boolean }): Promise<void> => {
  const result = await stopStack(loadConfig(), quiet ? {} : { onProgress: remark })
  if (json) printJson(result)
}

export const configure = (command: Command): void => {
  command
    .option('-q, --quiet', 'do not show progress')
    .option('--json', 'print what was released as JSON')
    .action(down)
}

import type { Command } from 'commander'
import { listImages } from './images/list.ts'

export const configure = (command: Command): void => {
  command
    .option('-q, --quiet', 'print only ids')
    .option('--no-trunc', 'do not shorten')
    .option('--json', 'print JSON')
    .option('--node <name>', 'only those of this node')
    .action(listImages)
}

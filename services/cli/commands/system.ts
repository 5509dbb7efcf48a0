import type { Command } from 'commander'
import { type Config, loadConfig } from '../../../shared/config.ts'
import { loadDefaults } from '../system/defaults.ts'
import { install } from '../system/install.ts'
import { uninstall } from '../system/uninstall.ts'

const here = (): Config => {
  loadDefaults()
  return loadConfig()
}

export const configure = (command: Command): void => {
  command
    .command('install')
    .description('put the units of this host in place and enable them')
    .option('--now', 'start them, and wait until every service answers')
    .action((flags: { now?: boolean }) => install(here(), flags))
  command
    .command('uninstall')
    .description('stop the units of this host and take them away; containers that run stay')
    .action(() => uninstall(here()))
}

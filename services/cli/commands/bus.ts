import type { Command } from 'commander'
import { loadConfig } from '../../../shared/config.ts'
import { printJson, printLine, remark } from '../output/print.ts'
import { bootstrapBus } from '../stack/bootstrap-bus.ts'
import { rotateBus } from '../stack/rotate-bus.ts'
import { noLog } from './bus/session.ts'

interface Flags {
  json?: boolean
}

const rotate = async ({ json }: Flags): Promise<void> => {
  const users = await rotateBus(loadConfig(), noLog)
  if (json) return printJson({ users })
  for (const user of users) printLine(user)
  remark('each has a new password; "dolly info --json" tells the client\'s')
}

const init = ({ wait = false }: { wait?: boolean }): Promise<void> =>
  bootstrapBus(loadConfig(), noLog, { patient: wait })

export const configure = (command: Command): void => {
  command
    .command('rotate')
    .description("give every user of this stack's bus a new password, while it runs")
    .option('--json', 'print JSON')
    .action(rotate)
  command
    .command('init')
    .description('make the streams of a bus that DOLLY_NATS_URL names, as a user that may')
    .option('--wait', 'wait for the server')
    .action(init)
}

import type { Command } from 'commander'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { forEachTarget } from '../output/failure.ts'
import { printLine } from '../output/print.ts'
import { ask } from './bus/ask.ts'
import { withSession } from './bus/session.ts'

const kill = async (containers: string[], { signal }: { signal: string }): Promise<void> => {
  await withSession(({ bus }) =>
    forEachTarget('kill', containers, async (container) => {
      await ask(bus, verbs.containerKill, { container, signal })
      printLine(container)
    }),
  )
}

export const configure = (command: Command): void => {
  command
    .argument('<container...>', 'id or name')
    .option('-s, --signal <signal>', 'signal to send', 'SIGKILL')
    .action(kill)
}

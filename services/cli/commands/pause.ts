import type { Command } from 'commander'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { forEachTarget } from '../output/failure.ts'
import { printLine } from '../output/print.ts'
import { ask } from './bus/ask.ts'
import { withSession } from './bus/session.ts'

const pause = async (containers: string[]): Promise<void> => {
  await withSession(({ bus }) =>
    forEachTarget('pause', containers, async (container) => {
      await ask(bus, verbs.containerPause, { container })
      printLine(container)
    }),
  )
}

export const configure = (command: Command): void => {
  command.argument('<container...>', 'id or name').action(pause)
}

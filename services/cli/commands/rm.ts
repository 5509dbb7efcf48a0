import type { Command } from 'commander'
import { forEachTarget } from '../output/failure.ts'
import { printLine } from '../output/print.ts'
import { withSession } from './bus/session.ts'
import { removeContainer } from './launch/removal.ts'

interface RmFlags {
  force?: boolean
  quiet?: boolean
}

const rm = async (containers: string[], { force = false, quiet = false }: RmFlags): Promise<void> => {
  await withSession(({ bus }) =>
    forEachTarget('rm', containers, async (container) => {
      await removeContainer(bus, container, { force, quiet })
      printLine(container)
    }),
  )
}

export const configure = (command: Command): void => {
  command
    .argument('<container...>', 'id or name')
    .option('-f, --force', 'delete it also when it is running')
    .option('-q, --quiet', 'do not show the steps')
    .action(rm)
}

import type { Command } from 'commander'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { forEachTarget } from '../output/failure.ts'
import { printJson } from '../output/print.ts'
import { ask } from './bus/ask.ts'
import { withSession } from './bus/session.ts'

const inspect = async (containers: string[]): Promise<void> => {
  await withSession(async ({ bus }) => {
    const found: unknown[] = []
    try {
      await forEachTarget('inspect', containers, async (container) => {
        found.push(await ask(bus, verbs.containerGet, { container }))
      })
    } finally {
      printJson(found)
    }
  })
}

export const configure = (command: Command): void => {
  command
    .argument('<container...>', 'id or name')
    .option('--json', 'print JSON, as it does anyway')
    .action(inspect)
}

import type { Command } from 'commander'
import { printJson, printLine } from '../output/print.ts'
import { withSession } from './bus/session.ts'
import { type ContainerFlags, addContainerFlags } from './launch/container-flags.ts'
import { environmentOf } from './launch/environment.ts'
import { launch } from './launch/launch.ts'
import { createMessage } from './launch/message.ts'

const create = async (
  image: string,
  command: string[],
  flags: ContainerFlags & { json?: boolean },
): Promise<void> => {
  const environment = await environmentOf(flags)
  const message = createMessage(flags, { image, command, environment, start: false })
  await withSession(async ({ bus }) => {
    const { id, events } = await launch(bus, message, { quiet: flags.quiet ?? false })
    await events[Symbol.asyncDispose]()
    if (flags.json) printJson({ id })
    else printLine(id)
  })
}

export const configure = (command: Command): void => {
  command.option('-q, --quiet', 'do not show the steps').option('--json', 'print the id as JSON')
  addContainerFlags(command).action(create)
}

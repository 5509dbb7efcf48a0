import type { Command } from 'commander'
import { loadConfig } from '../../../shared/config.ts'
import { Failure } from '../../../shared/failure.ts'
import { printJson, printLine } from '../output/print.ts'
import { parseDetachKeys } from './attach/detach-keys.ts'
import { withSessionAnd } from './bus/session.ts'
import { type ContainerFlags, addContainerFlags } from './launch/container-flags.ts'
import { environmentOf } from './launch/environment.ts'

interface RunFlags extends ContainerFlags {
  rm?: boolean
  detach?: boolean
  detachKeys: string
  json?: boolean
}

const check = ({ detach, interactive, tty }: RunFlags): void => {
  if (interactive && tty && !detach && !process.stdin.isTTY) {
    throw new Failure('invalid_message', 'cannot run with -t: standard input is not a terminal')
  }
}

const run = async (image: string, command: string[], flags: RunFlags): Promise<void> => {
  check(flags)
  const detachKeys = parseDetachKeys(flags.detachKeys)
  const environment = await environmentOf(flags)
  const prepare = async () => {
    const { createMessage } = await import('./launch/message.ts')
    return createMessage(flags, { image, command, environment, start: flags.detach ?? false })
  }
  const quiet = flags.quiet ?? false
  await withSessionAnd(
    prepare,
    async (session, message) => {
      // Whatever becomes of this process, the orchestrator deletes it when it has ended.
      const removed = flags.rm ? { ...message, auto_remove: true } : message
      if (!flags.detach) {
        const { runInForeground } = await import('./launch/foreground.ts')
        return runInForeground(session, removed, { quiet, detachKeys })
      }
      const { launch } = await import('./launch/launch.ts')
      const { id, events } = await launch(session.bus, removed, { quiet })
      await events[Symbol.asyncDispose]()
      if (flags.json) printJson({ id })
      else printLine(id)
    },
    loadConfig(),
  )
}

export const configure = (command: Command): void => {
  command
    .option('-d, --detach', 'run in the background and print the id')
    .option('--rm', 'delete the container when it has ended')
    .option('-q, --quiet', 'do not show the steps')
    .option('--json', 'print the id as JSON (with -d)')
    .option('--detach-keys <keys>', 'keys that leave the container running', 'ctrl-p,ctrl-q')
  addContainerFlags(command).action(run)
}

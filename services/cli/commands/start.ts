import type { Command } from 'commander'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { ExitCode, forEachTarget } from '../output/failure.ts'
import { Failure } from '../../../shared/failure.ts'
import { printLine } from '../output/print.ts'
import { parseDetachKeys } from './attach/detach-keys.ts'
import { ask } from './bus/ask.ts'
import { watchContainer } from './bus/container-events.ts'
import { type Session, withSession } from './bus/session.ts'
import { attachAndStart } from './launch/attached-start.ts'

interface StartFlags {
  attach?: boolean
  interactive?: boolean
  detachKeys: string
}

const startAttached = async (session: Session, container: string, flags: StartFlags): Promise<void> => {
  const { id, node, status, sequence, spec } = await ask(session.bus, verbs.containerGet, { container })
  if (status === 'stopped') await ask(session.bus, verbs.containerInit, { container }, { timeoutMs: 60_000 })
  await using events = watchContainer(session.bus, id, { after: sequence })
  const exit = await attachAndStart(session, {
    id,
    node,
    sequence,
    events,
    interactive: (flags.interactive ?? false) && spec.process.stdin,
    terminal: spec.process.terminal,
    detachKeys: parseDetachKeys(flags.detachKeys),
  })
  if (exit && exit.code !== 0) throw new ExitCode(exit.code)
}

const start = async (containers: string[], flags: StartFlags): Promise<void> => {
  const attached = flags.attach || flags.interactive
  const [container = ''] = containers
  if (attached && containers.length > 1) {
    throw new Failure('invalid_message', 'cannot attach to more than one container')
  }
  await withSession(async (session) => {
    if (attached) return startAttached(session, container, flags)
    await forEachTarget('start', containers, async (target) => {
      await ask(session.bus, verbs.containerStart, { container: target }, { timeoutMs: 60_000 })
      printLine(target)
    })
  })
}

export const configure = (command: Command): void => {
  command
    .argument('<container...>', 'id or name')
    .option('-a, --attach', 'attach to its output and answer its exit code')
    .option('-i, --interactive', 'attach to its input too')
    .option('--detach-keys <keys>', 'keys that leave the container running', 'ctrl-p,ctrl-q')
    .action(start)
}

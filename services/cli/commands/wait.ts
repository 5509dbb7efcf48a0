import type { Command } from 'commander'
import type { Bus } from '../../../shared/bus.ts'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { Failure } from '../../../shared/failure.ts'
import { forEachTarget } from '../output/failure.ts'
import { printJson, printLine } from '../output/print.ts'
import { ask } from './bus/ask.ts'
import { watchContainer } from './bus/container-events.ts'
import { withSession } from './bus/session.ts'

const endings = new Set(['container.exited', 'container.deleted', 'container.failed', 'container.stuck'])
/** Nothing more will happen to it by itself. */
const over = new Set<string>(['deleted', 'failed', 'stuck'])

const exitCodeOf = async (bus: Bus, container: string): Promise<number> => {
  const { id, sequence, status, exitCode } = await ask(bus, verbs.containerGet, { container })
  if (status === 'stopped' && exitCode !== undefined) return exitCode
  const without = (how: string) =>
    new Failure('not_found', `cannot wait for ${container}: it ended without an exit code (${how})`)
  if (over.has(status)) {
    const ended = (await bus.journal('container', id)).findLast(
      ({ event }) => event?.type === 'container.exited',
    )
    const code = ended?.event?.data['exitCode']
    if (typeof code === 'number') return code
    throw without(status)
  }
  await using events = watchContainer(bus, id, { after: sequence })
  const { event } = await events.until((seen) => endings.has(seen.event.type))
  if (typeof event.data['exitCode'] === 'number') return event.data['exitCode']
  throw without(event.type)
}

const wait = async (containers: string[], { json }: { json?: boolean }): Promise<void> => {
  await withSession(async ({ bus }) => {
    const codes: { container: string; exitCode: number }[] = []
    try {
      await forEachTarget('wait', containers, async (container) => {
        const exitCode = await exitCodeOf(bus, container)
        codes.push({ container, exitCode })
        if (!json) printLine(String(exitCode))
      })
    } finally {
      if (json) printJson(codes)
    }
  })
}

export const configure = (command: Command): void => {
  command.argument('<container...>', 'id or name').option('--json', 'print JSON').action(wait)
}

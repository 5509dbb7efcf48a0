import type { Command } from 'commander'
import type { Bus } from '../../../shared/bus.ts'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { Failure } from '../../../shared/failure.ts'
import { forEachTarget } from '../output/failure.ts'
import { printJson, printLine } from '../output/print.ts'
import { ask } from './bus/ask.ts'
import { endings, killed, watchContainer } from './bus/container-events.ts'
import { withSession } from './bus/session.ts'

/** Nothing more will happen to it by itself. */
const over = new Set<string>(['deleted', 'failed', 'stuck'])
const starts = new Set<string | undefined>(['container.running', 'container.started'])

/** How the last process of a container that has gone has ended, by its log; the id may have had another before. */
const lastExitCode = async (bus: Bus, id: string): Promise<number | undefined> => {
  const events = (await bus.journal('container', id)).map(({ event }) => event)
  const life = events.slice(events.findLastIndex((event) => event?.type === 'saga.started') + 1)
  const exited = life.findLast((event) => event?.type === 'container.exited')
  if (!exited) return life.some((event) => starts.has(event?.type)) ? killed : undefined
  const code = exited.data['exitCode']
  return typeof code === 'number' ? code : undefined
}

const exitCodeOf = async (bus: Bus, container: string): Promise<number> => {
  const { id, sequence, status, exitCode } = await ask(bus, verbs.containerGet, { container })
  if (status === 'stopped' && exitCode !== undefined) return exitCode
  let how: string = status
  if (!over.has(status)) {
    await using events = watchContainer(bus, id, { after: sequence })
    const { event } = await events.until((seen) => endings.has(seen.event.type))
    if (typeof event.data['exitCode'] === 'number') return event.data['exitCode']
    how = event.type
  }
  const code = await lastExitCode(bus, id)
  if (code !== undefined) return code
  throw new Failure('not_found', `cannot wait for ${container}: it ended without an exit code (${how})`)
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

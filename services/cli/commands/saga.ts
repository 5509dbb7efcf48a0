import type { Command } from 'commander'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { ExitCode } from '../output/failure.ts'
import { printJson, printLine, remark } from '../output/print.ts'
import { ask } from './bus/ask.ts'
import { withSession } from './bus/session.ts'
import { type SagaSummary, listSagas, reasonLines } from './sagas/list.ts'
import { showSaga } from './sagas/show.ts'

/** Every undo is tried for two minutes at most, and those that need each other come one after another. */
const undoneMs = 10 * 60_000

interface Flags {
  json?: boolean
}

const report = (saga: SagaSummary, json: boolean | undefined): void => {
  if (json) printJson(saga)
  else printLine(`${saga.id} is ${saga.status}`)
  if (saga.status !== 'stuck') return
  for (const line of reasonLines(saga)) remark(`left: ${line}`)
  throw new ExitCode(1)
}

const retry = async (container: string, { json }: Flags): Promise<void> =>
  report(
    await withSession(({ bus }) => ask(bus, verbs.sagaRetry, { container }, { timeoutMs: undoneMs })),
    json,
  )

const skip = async (container: string, step: string, { json }: Flags): Promise<void> =>
  report(
    await withSession(({ bus }) => ask(bus, verbs.sagaSkip, { container, step }, { timeoutMs: undoneMs })),
    json,
  )

const abort = async (container: string, { json }: Flags): Promise<void> => {
  const saga = await withSession(({ bus }) => ask(bus, verbs.sagaAbort, { container }))
  report(saga, json)
  if ((saga.leaked ?? []).length > 0)
    remark(`what is left stays on ${saga.node}; "dolly doctor --clean ${saga.id}" removes it`)
}

const rebuild = async ({ json }: Flags): Promise<void> => {
  const answer = await withSession(({ bus }) => ask(bus, verbs.sagaRebuild, {}, { timeoutMs: undoneMs }))
  if (json) printJson(answer)
  else printLine(`${answer.containers} containers`)
}

export const configure = (command: Command): void => {
  const verb = (name: string, description: string) =>
    command.command(name).description(description).option('--json', 'print JSON')
  verb('ls', 'list sagas that are under way or stuck')
    .alias('list')
    .option('-a, --all', 'list those at rest too')
    .action(listSagas)
  verb('show', 'print the journal of a container, readable or not')
    .argument('<container>', 'id or name')
    .action(showSaga)
  verb('retry', 'undo a stuck container again').argument('<container>', 'id or name').action(retry)
  verb('skip', 'leave one resource of a stuck container and undo the rest')
    .argument('<container>', 'id or name')
    .argument('<step>', 'the step that owns the resource, as "saga ls" names it')
    .action(skip)
  verb('abort', 'give a stuck container up: what is left stays on its host')
    .argument('<container>', 'id or name')
    .action(abort)
  verb('rebuild', 'make the list of containers anew from the log').action(rebuild)
}

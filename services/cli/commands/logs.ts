import { type Command, InvalidArgumentError } from 'commander'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { Failure } from '../../../shared/failure.ts'
import { remark } from '../output/print.ts'
import { byteSize } from '../output/size.ts'
import { ask } from './bus/ask.ts'
import { watchContainer } from './bus/container-events.ts'
import { type Session, withSession } from './bus/session.ts'
import { openLog } from './logs/container-log.ts'
import { endOf, printLog } from './logs/print-log.ts'

interface LogsFlags {
  follow?: boolean
  tail: number
  timestamps?: boolean
  json?: boolean
}

const tailCount = (text: string): number => {
  if (text === 'all') return Infinity
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It is neither a number nor "all".')
  return Number(text)
}

const droppedOf = (container: string, bytes: number): string =>
  `dolly: the beginning of the log of ${container} was dropped: it keeps at most ${byteSize(bytes)} (logging.options.max-size)`

const logs = async (session: Session, container: string, flags: LogsFlags): Promise<void> => {
  const { id, node, status, sequence, spec } = await ask(session.bus, verbs.containerGet, { container })
  if (node === '')
    throw new Failure('conflict', `cannot read the log of ${container}: it is ${status} and has no node yet`)
  const show = async (ended?: AbortSignal) => {
    using log = await openLog(session, { id, node }, { tail: flags.tail, ended })
    if (log.dropped && flags.tail === Infinity) remark(droppedOf(container, spec.logSizeBytes))
    await printLog(log.lines, flags)
  }
  if (!flags.follow) return show()
  await using events = watchContainer(session.bus, id, { after: sequence })
  const alive = ['creating', 'created', 'running', 'paused'].includes(status)
  await show(alive ? endOf(events) : AbortSignal.abort())
}

export const configure = (command: Command): void => {
  command
    .argument('<container>', 'id or name')
    .option('-f, --follow', 'go on until the container ends')
    .option('-n, --tail <lines>', 'only the last lines', tailCount, Infinity)
    .option('-t, --timestamps', 'show when each line was written')
    .option('--json', 'print one JSON document a line')
    .action((container: string, flags: LogsFlags) =>
      withSession((session) => logs(session, container, flags)),
    )
}

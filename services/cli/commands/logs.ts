import { once } from 'node:events'
import { type Command, InvalidArgumentError } from 'commander'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { Failure } from '../../../shared/failure.ts'
import { bundlePaths } from '../../namespace/bundle.ts'
import { hasDropped } from '../../namespace/log-file.ts'
import { printJsonLine, remark } from '../output/print.ts'
import { byteSize } from '../output/size.ts'
import { ask } from './bus/ask.ts'
import { type ContainerEvents, watchContainer } from './bus/container-events.ts'
import { type Session, withSession } from './bus/session.ts'
import { type LogLine, logTime } from './logs/k8s-line.ts'
import { followLog, readLog } from './logs/log-file.ts'

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

/** Passes all but the first `skip` whole lines. */
async function* after(lines: AsyncIterable<LogLine>, skip: number): AsyncGenerator<LogLine> {
  let passed = 0
  for await (const line of lines) {
    if (passed >= skip) yield line
    else if (line.complete) passed++
  }
}

const wholeLines = async (file: string): Promise<number> => {
  let count = 0
  for await (const { complete } of readLog(file)) if (complete) count++
  return count
}

const print = async (lines: AsyncIterable<LogLine>, { timestamps, json }: LogsFlags): Promise<void> => {
  const begun = { stdout: false, stderr: false }
  for await (const { time, stream, text, complete } of lines) {
    const stamp = timestamps && !begun[stream] ? `${logTime(time)} ` : ''
    begun[stream] = !complete
    if (json) printJsonLine({ time: logTime(time), stream, text, complete })
    else if (!process[stream].write(`${stamp}${text}${complete ? '\n' : ''}`))
      await once(process[stream], 'drain')
  }
}

/** Aborts once the container that runs now has ended. */
const endOf = (events: ContainerEvents): AbortSignal => {
  const ended = new AbortController()
  const endings = ['container.exited', 'container.deleted', 'container.failed']
  events
    .until(({ event }) => endings.includes(event.type))
    .then(
      () => ended.abort(),
      () => ended.abort(), // without the log of events nothing more will be known of it
    )
  return ended.signal
}

const droppedOf = (container: string, bytes: number): string =>
  `dolly: the beginning of the log of ${container} was dropped: it keeps at most ${byteSize(bytes)} (logging.options.max-size)`

const logs = async ({ bus, config }: Session, container: string, flags: LogsFlags): Promise<void> => {
  const { id, node, status, sequence, spec } = await ask(bus, verbs.containerGet, { container })
  if (node !== config.node) {
    throw new Failure(
      'unsupported',
      `cannot read the log of ${container}: it is on node ${node}; run "dolly logs" there`,
    )
  }
  const paths = bundlePaths(config.names.bundle(id))
  const file = paths.log
  const skip = Number.isFinite(flags.tail) ? Math.max(0, (await wholeLines(file)) - flags.tail) : 0
  if (skip === 0 && hasDropped(paths)) remark(droppedOf(container, spec.logSizeBytes))
  if (!flags.follow) return print(after(readLog(file), skip), flags)
  await using events = watchContainer(bus, id, { after: sequence })
  const alive = ['creating', 'created', 'running', 'paused'].includes(status)
  const ended = alive ? endOf(events) : AbortSignal.abort()
  await print(after(followLog(file, ended), skip), flags)
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

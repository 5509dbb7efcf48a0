import { once } from 'node:events'
import type { Command } from 'commander'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { printJsonLine, printLine } from '../output/print.ts'
import { ask } from './bus/ask.ts'
import { type Session, withSession } from './bus/session.ts'
import { parseFilter, passes } from './events/event-filter.ts'
import { eventLine } from './events/event-line.ts'
import { collect } from './option-values.ts'

interface EventsFlags {
  follow?: boolean
  since?: string
  filter?: string[]
  json?: boolean
}

const events = async (
  { bus }: Session,
  { follow, since, filter: entries = [], json }: EventsFlags,
): Promise<void> => {
  const filter = parseFilter(entries, since)
  const { container } = filter
  const id = container === undefined ? undefined : (await ask(bus, verbs.containerGet, { container })).id
  const stop = new AbortController()
  const end = () => stop.abort()
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, end)
  const scope = id === undefined ? {} : { kind: 'container', id }
  // Following from now on is not the same as reading what is there: without --since there is no past to show.
  const after = follow && since === undefined ? 'new' : 'all'
  for await (const { event } of bus.followEvents({ ...scope, after, past: !follow }, stop.signal)) {
    if (!event || !passes(filter, event)) continue
    if (json) printJsonLine(event)
    else printLine(eventLine(event))
    // A log may be larger than memory is.
    if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain')
  }
}

export const configure = (command: Command): void => {
  command
    .option('--follow', 'go on with events to come; with --since after the past ones')
    .option('--since <time>', 'a date, seconds since 1970, or a duration as 10m')
    .option('-f, --filter <key=value>', 'container=ID or type=NAME', collect)
    .option('--json', 'print one CloudEvent a line')
    .action((flags: EventsFlags) => withSession((session) => events(session, flags)))
}

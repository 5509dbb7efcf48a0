import { once } from 'node:events'
import { type LogLine, logTime } from '../../../namespace/streams/log-line.ts'
import { printJsonLine } from '../../output/print.ts'
import type { ContainerEvents } from '../bus/container-events.ts'

/** Writes a container's lines to the streams that it wrote them to, or each as JSON. */
export const printLog = async (
  lines: AsyncIterable<LogLine>,
  { timestamps, json }: { timestamps?: boolean; json?: boolean } = {},
): Promise<void> => {
  const begun = { stdout: false, stderr: false }
  for await (const { time, stream, text, complete } of lines) {
    const stamp = timestamps && !begun[stream] ? `${logTime(time)} ` : ''
    begun[stream] = !complete
    if (json) printJsonLine({ time: logTime(time), stream, text, complete })
    else if (!process[stream].write(`${stamp}${text}${complete ? '\n' : ''}`))
      await once(process[stream], 'drain')
  }
}

/** Aborts once the container that runs now, or is about to, has ended. */
export const endOf = (events: ContainerEvents): AbortSignal => {
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

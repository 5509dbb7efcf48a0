import { verbs } from '../../../../shared/contracts/verbs.ts'
import { bundlePaths } from '../../../namespace/bundle.ts'
import { hasDropped } from '../../../namespace/log-file.ts'
import type { LogLine } from '../../../namespace/streams/log-line.ts'
import { followLog, logLines, readLog, tailOffset } from '../../../namespace/streams/log-reader.ts'
import type { Frame } from '../../../namespace/streams/stdcopy.ts'
import { ask } from '../bus/ask.ts'
import { isHere } from '../bus/is-here.ts'
import type { Session } from '../bus/session.ts'
import { busStream } from '../bus/stream.ts'

/** A container's log, wherever the container is. */
export interface ContainerLog extends Disposable {
  /** Its beginning is gone: it became too long. */
  dropped: boolean
  lines: AsyncIterable<LogLine>
}

interface Wish {
  /** Only so many last lines; Infinity is all. */
  tail: number
  /** Aborts when there is nothing more to come; without it only what is there is read. */
  ended?: AbortSignal | undefined
}

type Place = { id: string; node: string }

const onThisHost = async (
  paths: ReturnType<typeof bundlePaths>,
  { tail, ended }: Wish,
): Promise<ContainerLog> => {
  const from = Number.isFinite(tail) ? await tailOffset(paths.log, tail) : 0
  return {
    dropped: hasDropped(paths),
    lines: logLines(ended ? followLog(paths.log, ended, from) : readLog(paths.log, from)),
    [Symbol.dispose]: () => {},
  }
}

async function* bytesOf(frames: AsyncIterable<Frame>): AsyncGenerator<Buffer> {
  for await (const { data } of frames) yield data
}

const elsewhere = async ({ bus }: Session, { id }: Place, { tail, ended }: Wish): Promise<ContainerLog> => {
  const wish = { follow: ended !== undefined, tail: Number.isFinite(tail) ? tail : null }
  const { dropped, ...name } = await ask(bus, verbs.containerLogs, { container: id, ...wish })
  const stream = busStream(bus, { node: name.node, stream: name.stream })
  stream.input.on('error', () => {}) // of a connection that broke its output tells
  const end = () => void stream.input.end()
  if (ended?.aborted) end()
  else ended?.addEventListener('abort', end)
  return {
    dropped,
    lines: logLines(bytesOf(stream.frames)),
    [Symbol.dispose]: () => {
      ended?.removeEventListener('abort', end)
      stream.close()
    },
  }
}

/** Opens a container's log: its file on this host, over the bus on another's. Throws `Failure` (`not_found`) when there is none. */
export const openLog = (session: Session, place: Place, wish: Wish): Promise<ContainerLog> => {
  const paths = bundlePaths(session.config.names.bundle(place.id))
  return isHere(session.config, place.node, paths.directory)
    ? onThisHost(paths, wish)
    : elsewhere(session, place, wish)
}

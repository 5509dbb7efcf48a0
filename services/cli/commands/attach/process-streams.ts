import type { Writable } from 'node:stream'
import { verbs } from '../../../../shared/contracts/verbs.ts'
import { bundlePaths } from '../../../namespace/bundle.ts'
import { attachedFrames } from '../../../namespace/streams/attached-output.ts'
import { type AttacherInput, spawnAttacher } from '../../../namespace/streams/attacher.ts'
import { resize } from '../../../namespace/streams/resize.ts'
import type { Frame } from '../../../namespace/streams/stdcopy.ts'
import { ask } from '../bus/ask.ts'
import { isHere } from '../bus/is-here.ts'
import type { Session } from '../bus/session.ts'
import { busStream } from '../bus/stream.ts'

/** A process of a container: init, or an exec or copy that waits for its start. */
export interface ProcessPlace {
  id: string
  node: string
  execId?: string
}

/** How the process's input comes to it, and the size that its terminal begins with. */
export interface StreamsWanted {
  input: AttacherInput
  size?: { rows: number; columns: number } | undefined
}

/** The standard streams of a process in a container, wherever that is. */
export interface ProcessStreams extends Disposable {
  /** What it writes, until it ends. Throws `Failure` (`interrupted`) when the connection breaks. */
  frames: AsyncIterable<Frame>
  /** What it reads; undefined unless that comes by a pipe. */
  input: Writable | undefined
  resize: (size: { rows: number; columns: number }) => Promise<void>
}

const onThisHost = async (
  { attach, directory }: ReturnType<typeof bundlePaths>,
  { input, size }: StreamsWanted,
): Promise<ProcessStreams> => {
  // Told before the connection, which the monitor deals with after it: the process may start at once.
  if (size) await resize(directory, size)
  const child = await spawnAttacher(attach, input)
  child.stdin?.on('error', () => {}) // the process reads no more; its output says why
  return {
    frames: attachedFrames(child),
    input: input === 'pipe' ? (child.stdin ?? undefined) : undefined,
    resize: (to) => resize(directory, to),
    [Symbol.dispose]: () => void (child.exitCode === null && child.signalCode === null && child.kill()),
  }
}

const elsewhere = async (
  { bus }: Session,
  { id, execId }: ProcessPlace,
  { input }: StreamsWanted,
): Promise<ProcessStreams> => {
  const which = execId === undefined ? {} : { execId }
  const { node, stream: opened } = await ask(bus, verbs.containerAttach, { container: id, ...which })
  const stream = busStream(bus, { node, stream: opened })
  stream.input.on('error', () => {}) // so here
  if (input === 'inherit') process.stdin.pipe(stream.input)
  return {
    frames: stream.frames,
    input: input === 'pipe' ? stream.input : undefined,
    resize: stream.resize,
    [Symbol.dispose]: () => {
      if (input === 'inherit') process.stdin.unpipe(stream.input).pause()
      stream.close()
    },
  }
}

/** Connects to a process before it starts, so that nothing is missed: to its monitor on this host, over the bus to another's. */
export const openProcess = (
  session: Session,
  place: ProcessPlace,
  wanted: StreamsWanted,
): Promise<ProcessStreams> => {
  const { id, node, execId } = place
  const container = bundlePaths(session.config.names.bundle(id))
  const paths = execId === undefined ? container : bundlePaths(container.exec(execId))
  return isHere(session.config, node, paths.attach)
    ? onThisHost(paths, wanted)
    : elsewhere(session, place, wanted)
}

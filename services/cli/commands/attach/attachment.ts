import { once } from 'node:events'
import type { Writable } from 'node:stream'
import type { Session } from '../bus/session.ts'
import { createDetachFilter } from './detach-keys.ts'
import { type ProcessPlace, type ProcessStreams, openProcess } from './process-streams.ts'
import { followSize, rawMode } from './terminal.ts'

export interface AttachTarget extends ProcessPlace {
  interactive: boolean
  terminal: boolean
  detachKeys: readonly number[]
}

/** A connection of our standard streams to a process's. */
export interface Attachment extends Disposable {
  /** Resolves when all output has been written (`closed`) or the detach keys were typed (`detached`). */
  ended: Promise<'closed' | 'detached'>
}

const write = async (stream: NodeJS.WriteStream, data: Buffer): Promise<void> => {
  if (!stream.write(data)) await once(stream, 'drain')
}

const relayOutput = async ({ frames }: ProcessStreams, terminal: boolean): Promise<'closed'> => {
  for await (const { stream, data } of frames) {
    await write(terminal || stream === 'stdout' ? process.stdout : process.stderr, data)
  }
  return 'closed'
}

/** Copies what is typed to the container; resolves only when the detach keys come. */
const relayTyping = (input: Writable, detachKeys: readonly number[]) => {
  const { promise: detached, resolve } = Promise.withResolvers<'detached'>()
  const filter = createDetachFilter(detachKeys)
  const onData = (chunk: Buffer) => {
    const { forward, detached: found } = filter(chunk)
    if (forward.length > 0) input.write(forward)
    if (found) resolve('detached')
  }
  const onEnd = () => void input.end()
  process.stdin.on('data', onData).on('end', onEnd)
  return {
    detached,
    [Symbol.dispose]: () => {
      process.stdin.off('data', onData).off('end', onEnd)
      process.stdin.pause()
    },
  }
}

/** Connects to a container's standard streams. `ended` rejects with `Failure` (`interrupted`) when the connection breaks. */
export const attach = async (
  session: Session,
  { interactive, terminal, detachKeys, ...place }: AttachTarget,
): Promise<Attachment> => {
  const typed = interactive && process.stdin.isTTY
  // In its session the relay cannot read our terminal: what is typed comes to it by a pipe.
  const input = typed ? 'pipe' : interactive ? 'inherit' : 'held'
  const size = terminal && process.stdout.isTTY ? process.stdout : undefined
  const streams = await openProcess(session, place, { input, size })
  using stack = new DisposableStack()
  stack.use(streams)
  const closed = relayOutput(streams, terminal)
  closed.catch(() => {}) // told through `ended`, or it is we who break it off
  if (terminal) stack.use(await followSize(streams.resize, process.stdout))
  if (terminal && typed) stack.use(rawMode(process.stdin))
  const typing = streams.input && stack.use(relayTyping(streams.input, terminal ? detachKeys : []))
  const kept = stack.move()
  return {
    ended: typing ? Promise.race([closed, typing.detached]) : closed,
    [Symbol.dispose]: () => kept.dispose(),
  }
}

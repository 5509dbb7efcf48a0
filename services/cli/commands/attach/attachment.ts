import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Failure } from '../../../../shared/failure.ts'
import { spawnAttacher } from './attacher.ts'
import { createDetachFilter } from './detach-keys.ts'
import { frames } from './stdcopy.ts'
import { followSize, rawMode } from './terminal.ts'

export interface AttachTarget {
  /** The monitor's attach socket. */
  socket: string
  /** Where the monitor's control fifo is. */
  bundle: string
  interactive: boolean
  terminal: boolean
  detachKeys: readonly number[]
}

/** A connection to a container's standard streams. */
export interface Attachment extends Disposable {
  /** Resolves when all output has been written (`closed`) or the detach keys were typed (`detached`). */
  ended: Promise<'closed' | 'detached'>
}

const write = async (stream: NodeJS.WriteStream, data: Buffer): Promise<void> => {
  if (!stream.write(data)) await once(stream, 'drain')
}

const relayOutput = async (child: ChildProcess, terminal: boolean): Promise<'closed'> => {
  if (!child.stdout) throw new Error('the attacher has no standard output')
  for await (const { stream, data } of frames(child.stdout)) {
    await write(terminal || stream === 'stdout' ? process.stdout : process.stderr, data)
  }
  return 'closed'
}

/** Copies what is typed to the container; resolves only when the detach keys come. */
const relayTyping = (child: ChildProcess, detachKeys: readonly number[]) => {
  const { promise: detached, resolve } = Promise.withResolvers<'detached'>()
  const filter = createDetachFilter(detachKeys)
  const onData = (chunk: Buffer) => {
    const { forward, detached: found } = filter(chunk)
    if (forward.length > 0) child.stdin?.write(forward)
    if (found) resolve('detached')
  }
  const onEnd = () => void child.stdin?.end()
  child.stdin?.on('error', () => {}) // the container has ended; its output says so
  process.stdin.on('data', onData).on('end', onEnd)
  return {
    detached,
    [Symbol.dispose]: () => {
      process.stdin.off('data', onData).off('end', onEnd)
      process.stdin.pause()
    },
  }
}

const said = async (child: ChildProcess): Promise<string> => {
  let text = ''
  if (child.stderr) for await (const chunk of child.stderr) text += String(chunk)
  return text.trim()
}

const endOf = async (child: ChildProcess, relayed: Promise<'closed'>): Promise<'closed'> => {
  const exited = once(child, 'exit') as Promise<[number | null]>
  const [[code], text] = await Promise.all([exited, said(child), relayed])
  if (code !== 0) throw new Failure('interrupted', `cannot attach: ${text || `the relay ended with ${code}`}`)
  return 'closed'
}

/** Connects to a container's standard streams. Throws `Failure` (`interrupted`) when the relay breaks. */
export const attach = async ({
  socket,
  bundle,
  interactive,
  terminal,
  detachKeys,
}: AttachTarget): Promise<Attachment> => {
  const typed = interactive && process.stdin.isTTY
  // In its session the relay cannot read our terminal: what is typed comes to it by a pipe.
  const child = await spawnAttacher(socket, typed ? 'pipe' : interactive ? 'inherit' : 'held')
  using stack = new DisposableStack()
  stack.defer(() => void (child.exitCode === null && child.signalCode === null && child.kill()))
  const closed = endOf(child, relayOutput(child, terminal))
  closed.catch(() => {}) // told through `ended`, or it is we who break it off
  if (terminal) stack.use(await followSize(bundle, process.stdout))
  if (terminal && typed) stack.use(rawMode(process.stdin))
  const typing = typed ? stack.use(relayTyping(child, terminal ? detachKeys : [])) : undefined
  const kept = stack.move()
  return {
    ended: typing ? Promise.race([closed, typing.detached]) : closed,
    [Symbol.dispose]: () => kept.dispose(),
  }
}

import type { Writable } from 'node:stream'
import type { z } from 'zod'
import { verbs } from '../../../../shared/contracts/verbs.ts'
import { Failure } from '../../../../shared/failure.ts'
import { type ProcessStreams, openProcess } from '../attach/process-streams.ts'
import { ask } from '../bus/ask.ts'
import { execExitCode } from '../bus/exec-exit-code.ts'
import type { Session } from '../bus/session.ts'

/** The process of a copy in a container, with its standard streams. */
export interface Copier extends Disposable {
  input: Writable
  /** What comes on standard output and standard error, until it ends. */
  frames: ProcessStreams['frames']
  /** Waits for its end. Throws `Failure` with what it said. */
  succeeded(said: string): Promise<void>
}

/** Starts packing or unpacking in a container. */
export const startCopier = async (
  session: Session,
  wish: z.input<typeof verbs.containerCopy.input>,
): Promise<Copier> => {
  const { bus } = session
  const { id, node, execId } = await ask(bus, verbs.containerCopy, wish)
  const streams = await openProcess(session, { id, node, execId }, { input: 'pipe' })
  if (!streams.input) throw new Error('the copy has no standard input')
  await ask(bus, verbs.containerExecStart, { container: id, execId })
  return {
    input: streams.input,
    frames: streams.frames,
    succeeded: async (said) => {
      const code = await execExitCode(bus, id, execId)
      if (code !== 0)
        throw new Failure('invalid_message', said.trim().replaceAll('\n', '; ') || `exit ${code}`)
    },
    [Symbol.dispose]: () => streams[Symbol.dispose](),
  }
}

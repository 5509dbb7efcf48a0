import { once } from 'node:events'
import { PassThrough, type Writable } from 'node:stream'
import type { z } from 'zod'
import type { Bus } from '../../../../shared/bus.ts'
import { verbs } from '../../../../shared/contracts/verbs.ts'
import { Failure } from '../../../../shared/failure.ts'
import { spawnAttacher } from '../attach/attacher.ts'
import { frames } from '../attach/stdcopy.ts'
import { ask } from '../bus/ask.ts'
import { execExitCode } from '../bus/exec-exit-code.ts'

/** The process of a copy in a container, with its standard streams. */
export interface Copier extends Disposable {
  input: Writable
  /** What came on standard output and standard error. */
  frames: ReturnType<typeof frames>
  /** Waits for its end. Throws `Failure` with what it said. */
  succeeded(said: string): Promise<void>
}

/** Starts packing or unpacking in a container. */
export const startCopier = async (
  bus: Bus,
  wish: z.input<typeof verbs.containerCopy.input>,
): Promise<Copier> => {
  const { id, execId, attachSocket } = await ask(bus, verbs.containerCopy, wish)
  const child = await spawnAttacher(attachSocket, 'pipe')
  if (!child.stdin || !child.stdout) throw new Error('the attacher has no standard streams')
  const ended = once(child, 'exit')
  child.stdin.on('error', () => {}) // the container's side has ended; what it said tells why
  // Read from now on: Node throws away what nobody reads when a child exits.
  const output = child.stdout.pipe(new PassThrough())
  await ask(bus, verbs.containerExecStart, { container: id, execId })
  return {
    input: child.stdin,
    frames: frames(output),
    succeeded: async (said) => {
      await ended
      const code = await execExitCode(bus, id, execId)
      if (code !== 0)
        throw new Failure('invalid_message', said.trim().replaceAll('\n', '; ') || `exit ${code}`)
    },
    [Symbol.dispose]: () => void (child.exitCode === null && child.signalCode === null && child.kill()),
  }
}

import { once } from 'node:events'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { Failure } from '../../../shared/failure.ts'
import { spawnAttacher } from '../commands/attach/attacher.ts'
import { frames } from '../commands/attach/stdcopy.ts'
import { ask } from '../commands/bus/ask.ts'
import type { Session } from '../commands/bus/session.ts'

/** Runs a command in the container and answers what it wrote. Throws `Failure` (`system`) when it fails. */
export const execInside = async ({ bus }: Session, container: string, args: string[]): Promise<string> => {
  const { execId, attachSocket } = await ask(bus, verbs.containerExec, { container, args })
  const attacher = await spawnAttacher(attachSocket, 'held')
  if (!attacher.stdout) throw new Error('the attacher has no standard output')
  const ended = once(attacher, 'exit')
  await ask(bus, verbs.containerExecStart, { container, execId })
  const written: Buffer[] = []
  for await (const { data } of frames(attacher.stdout)) written.push(data)
  await ended
  const { exitCode } = await ask(bus, verbs.containerExecWait, { container, execId, timeoutMs: 20_000 })
  const output = Buffer.concat(written).toString()
  if (exitCode !== 0)
    throw new Failure('system', `${args.join(' ')} in the container exits ${exitCode}: ${output.trim()}`)
  return output
}

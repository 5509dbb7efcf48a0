import { verbs } from '../../../shared/contracts/verbs.ts'
import { Failure } from '../../../shared/failure.ts'
import { attachedOutput } from '../../namespace/streams/attached-output.ts'
import { spawnAttacher } from '../../namespace/streams/attacher.ts'
import { ask } from '../commands/bus/ask.ts'
import type { Session } from '../commands/bus/session.ts'

/** Runs a command in the container and answers what it wrote. Throws `Failure` (`system`) when it fails. */
export const execInside = async ({ bus }: Session, container: string, args: string[]): Promise<string> => {
  const { execId, attachSocket } = await ask(bus, verbs.containerExec, { container, args })
  const written = attachedOutput(await spawnAttacher(attachSocket, 'held'))
  await ask(bus, verbs.containerExecStart, { container, execId })
  const output = await written
  const { exitCode } = await ask(bus, verbs.containerExecWait, { container, execId, timeoutMs: 20_000 })
  if (exitCode !== 0)
    throw new Failure('system', `${args.join(' ')} in the container exits ${exitCode}: ${output.trim()}`)
  return output
}

import { setTimeout as delay } from 'node:timers/promises'
import { ulid } from 'ulid'
import type { ContainerCreate } from '../../../../shared/contracts/container-create.ts'
import { Failure } from '../../../../shared/failure.ts'
import { subjects } from '../../../../shared/subjects.ts'
import { ExitCode } from '../../output/failure.ts'
import { remark } from '../../output/print.ts'
import { forwardSignals } from '../attach/signals.ts'
import { commandAmong } from '../bus/command.ts'
import type { Session } from '../bus/session.ts'
import { launch } from './launch.ts'

export interface ForegroundOptions {
  quiet: boolean
  remove: boolean
  detachKeys: readonly number[]
}

/** Launches, unless a signal comes first: then the container is deleted as soon as that is possible. */
const launchUnlessInterrupted = async (
  { bus }: Session,
  message: ContainerCreate & { id: string },
  quiet: boolean,
) => {
  const interrupted = Promise.withResolvers<never>()
  using _ = forwardSignals((signal) => {
    bus
      .publishCommand(subjects.delete, { id: message.id }, { messageId: ulid() })
      .then(() => interrupted.reject(new ExitCode(signal === 'SIGINT' ? 130 : 143)), interrupted.reject)
  })
  return await Promise.race([launch(bus, message, { quiet }), interrupted.promise])
}

/** By then the command has left. */
const leftMs = 5

/** Node loads what starts a process when it is first asked for, which takes 4 ms. */
const readyToAttach = async (): Promise<void> => {
  await delay(leftMs)
  await import('node:child_process').then(({ spawn }) => spawn)
}

/** `dolly run` without `-d`: the container's output is ours, and so is its exit code. */
export const runInForeground = async (
  session: Session,
  message: ContainerCreate,
  { quiet, remove, detachKeys }: ForegroundOptions,
): Promise<void> => {
  const { id = ulid(), stdin_open: interactive = false, tty: terminal = false } = message
  // Loaded while the launch is under way.
  const [{ outcome, sequence, events }, { attachAndStart }] = await Promise.all([
    launchUnlessInterrupted(session, { ...message, id }, quiet),
    import('./attached-start.ts'),
    readyToAttach(),
  ])
  await using _ = events
  let goesOn = false
  let code: number | 'detached' | undefined
  try {
    const node = String(outcome.data['node'])
    code = await attachAndStart(session, { id, node, sequence, events, interactive, terminal, detachKeys })
    goesOn = code === 'detached'
  } catch (error) {
    // The connection to its node broke, which is nothing of the container's.
    goesOn = error instanceof Failure && error.details['goesOn'] === true
    throw error
  } finally {
    if (remove && !goesOn)
      await commandAmong(session.bus, events, { subject: subjects.delete, body: { id, force: true } })
    if (remove && goesOn) remark(`container ${id} goes on; "dolly rm -f ${id}" deletes it`)
  }
  if (code !== 'detached' && code !== 0) throw new ExitCode(code)
}

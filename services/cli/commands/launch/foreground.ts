import { constants } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { ulid } from 'ulid'
import { autoRemoveId } from '../../../../shared/contracts/command.ts'
import type { ContainerCreate } from '../../../../shared/contracts/container-create.ts'
import { verbs } from '../../../../shared/contracts/verbs.ts'
import { Failure } from '../../../../shared/failure.ts'
import { subjects } from '../../../../shared/subjects.ts'
import { ExitCode, failureLine } from '../../output/failure.ts'
import { beforeOutputEnds } from '../../output/output-errors.ts'
import { remark } from '../../output/print.ts'
import { forwardSignals } from '../attach/signals.ts'
import { ask } from '../bus/ask.ts'
import { commandAmong } from '../bus/command.ts'
import type { ContainerEvents } from '../bus/container-events.ts'
import type { Session } from '../bus/session.ts'
import type { Exit } from './attached-start.ts'
import { launch } from './launch.ts'

export interface ForegroundOptions {
  quiet: boolean
  detachKeys: readonly number[]
}

/** A process that does not run yet takes no other signals. */
const deadly: readonly string[] = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM']

/** Launches, unless a signal comes first: then the container is deleted as soon as that is possible. */
const launchUnlessInterrupted = async (
  { bus }: Session,
  message: ContainerCreate & { id: string },
  quiet: boolean,
) => {
  const interrupted = Promise.withResolvers<never>()
  const over = new AbortController()
  using _ = forwardSignals((signal) => {
    if (!deadly.includes(signal)) return
    const code = new ExitCode(128 + constants.signals[signal])
    bus
      .publishCommand(subjects.delete, { id: message.id }, { messageId: ulid() })
      .then(() => interrupted.reject(code), interrupted.reject)
      .finally(() => over.abort())
  })
  return await Promise.race([interrupted.promise, launch(bus, message, { quiet, signal: over.signal })])
}

/** By then the command has left. */
const leftMs = 5

/** Node loads what starts a process when it is first asked for, which takes 4 ms. */
const readyToAttach = async (): Promise<void> => {
  await delay(leftMs)
  await import('node:child_process').then(({ spawn }) => spawn)
}

/** Deletes what shall not stay, by the orchestrator's own command where that is under way; what is gone already is success. */
const remove = async (
  { bus }: Session,
  events: ContainerEvents,
  { id, exit }: { id: string; exit: Exit | undefined },
): Promise<void> => {
  const messageId = exit ? autoRemoveId(id, exit.sequence) : ulid()
  try {
    await commandAmong(bus, events, { subject: subjects.delete, body: { id, force: true }, messageId })
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    if (error.code !== 'not_found') remark(failureLine('remove the container', error))
  }
}

/** A container that has not begun goes with whoever would have seen its output: no end of it would ever be told. */
const unlessBegun = ({ bus }: Session, id: string) => {
  let [begun, isOver] = [false, false]
  const ending = beforeOutputEnds((code) => {
    if (begun) process.exit(code)
    if (isOver) return
    isOver = true
    const end = () => process.exit(code)
    bus.publishCommand(subjects.delete, { id, force: true }, { messageId: ulid() }).then(end, end)
  })
  return { begin: () => void (begun = true), [Symbol.dispose]: () => ending[Symbol.dispose]() }
}

/** `dolly run` without `-d`: the container's output is ours, and so is its exit code. */
export const runInForeground = async (
  session: Session,
  message: ContainerCreate,
  { quiet, detachKeys }: ForegroundOptions,
): Promise<void> => {
  const { id = ulid(), stdin_open: interactive = false, tty: terminal = false } = message
  using guard = unlessBegun(session, id)
  // Loaded while the launch is under way.
  const [{ outcome, sequence, events }, { attachAndStart }] = await Promise.all([
    launchUnlessInterrupted(session, { ...message, id }, quiet),
    import('./attached-start.ts'),
    readyToAttach(),
  ])
  await using _ = events
  let goesOn = false
  let exit: Exit | undefined
  try {
    const { node, status, existing } = outcome.data
    // The same create again, of a container that has ended since.
    if (existing && status === 'stopped')
      await ask(session.bus, verbs.containerInit, { container: id }, { timeoutMs: 60_000 })
    const target = {
      id,
      node: String(node),
      sequence,
      events,
      interactive,
      terminal,
      detachKeys,
      begin: guard.begin,
    }
    exit = await attachAndStart(session, target)
    goesOn = exit === undefined
  } catch (error) {
    // The connection to its node broke, which is nothing of the container's.
    goesOn = error instanceof Failure && error.details['goesOn'] === true
    throw error
  } finally {
    if (message.auto_remove && !goesOn) await remove(session, events, { id, exit })
  }
  if (exit && exit.code !== 0) throw new ExitCode(exit.code)
}

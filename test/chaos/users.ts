import { setTimeout as delay } from 'node:timers/promises'
import { ulid } from 'ulid'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { connectBus } from '../../shared/bus.ts'
import type { Config } from '../../shared/config.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { Failure } from '../../shared/failure.ts'
import { createLog } from '../../shared/log.ts'
import { retrying } from '../../shared/retry.ts'
import { subjects } from '../../shared/subjects.ts'
import type { Random } from './random.ts'

/** A command that the work queue has acknowledged. */
export interface Accepted {
  commandId: string
  subject: string
  id: string
}

const mostContainers = 8
const acceptedWithinMs = 60_000

/** What the users have done, all together. */
export const createLedgerOfUsers = () => ({
  accepted: [] as Accepted[],
  /** Commands that the bus did not acknowledge in time: they may be done or not. */
  unacknowledged: [] as Accepted[],
  /** Seconds that each container's init sleeps, by id: no other process of the machine sleeps as long. */
  seconds: new Map<string, string>(),
  /** Containers that must be gone at the end: their delete was accepted after their one create. */
  unwanted: new Set<string>(),
  execs: { done: 0, refused: 0 },
})

export type LedgerOfUsers = ReturnType<typeof createLedgerOfUsers>

/** Publishes until the bus has acknowledged it, or gives up and answers false; repetitions under one message id are one command. */
export const publishing =
  (bus: Awaited<ReturnType<typeof connectBus>>, ledger: LedgerOfUsers) =>
  async (subject: string, body: { id: string; [key: string]: unknown }): Promise<boolean> => {
    const command = { commandId: ulid(), subject, id: body.id }
    try {
      await retrying(() => bus.publishCommand(subject, body, { messageId: command.commandId }), {
        signal: AbortSignal.timeout(acceptedWithinMs),
      })
      ledger.accepted.push(command)
      return true
    } catch (error) {
      if (!(error instanceof Failure) && !(error instanceof Error && error.name === 'AbortError')) throw error
      ledger.unacknowledged.push(command)
      return false
    }
  }

interface UserParts {
  config: Config
  random: Random
  ledger: LedgerOfUsers
  /** The first of the numbers of seconds that this user's containers sleep. */
  firstSeconds: number
  signal: AbortSignal
}

/** A user who creates, deletes and execs as chance has it, without waiting for outcomes, until the signal. */
export const runUser = async ({ config, random, ledger, firstSeconds, signal }: UserParts): Promise<void> => {
  const bus = await connectBus(config, { role: 'client', log: createLog({}, 'silent'), patient: false })
  const publish = publishing(bus, ledger)
  let own: string[] = []
  /** Containers of which no delete is the last word. */
  const contested = new Set<string>()
  let seconds = firstSeconds

  const create = async (): Promise<void> => {
    const body = { id: ulid(), image: 'busybox', command: ['sleep', String(seconds)] }
    ledger.seconds.set(body.id, String(seconds++))
    own.push(body.id)
    // Without a receipt it may still come, after its delete.
    if (!(await publish(subjects.create, body))) contested.add(body.id)
    // The same again, as a user does who has not heard of the first: the one container is the answer to both.
    if (random.chance(0.1)) {
      contested.add(body.id)
      await publish(subjects.create, body)
    }
    if (random.chance(0.15)) await remove(body.id)
  }
  const remove = async (id: string | undefined): Promise<void> => {
    if (id === undefined) return
    own = own.filter((other) => other !== id)
    const isAccepted = await publish(subjects.delete, { id, force: true })
    if (isAccepted && !contested.has(id)) ledger.unwanted.add(id)
    if (random.chance(0.1)) await publish(subjects.delete, { id, force: true })
  }
  const exec = async (container: string | undefined): Promise<void> => {
    if (container === undefined) return
    try {
      const { execId } = await ask(
        bus,
        verbs.containerExec,
        { container, args: ['true'] },
        { timeoutMs: 5000 },
      )
      await ask(bus, verbs.containerExecStart, { container, execId }, { timeoutMs: 5000 })
      const waited = { container, execId, timeoutMs: 5000 }
      await ask(bus, verbs.containerExecWait, waited, { timeoutMs: 10_000 })
      ledger.execs.done++
    } catch (error) {
      // Whom it asked was just killed, or the container is not there yet: no command was accepted.
      if (!(error instanceof Failure)) throw error
      ledger.execs.refused++
    }
  }

  try {
    while (!signal.aborted) {
      const act = random.weighted([
        [own.length < mostContainers ? 5 : 0, create],
        [own.length > 0 ? 4 : 0, () => remove(random.chance(0.7) ? own[0] : random.pick(own))],
        [own.length > 0 ? 2 : 0, () => exec(random.pick(own))],
      ])
      await act()
      await delay(random.between(0, 600))
    }
  } finally {
    await bus.close()
  }
}

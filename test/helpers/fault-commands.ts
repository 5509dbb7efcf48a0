import { ulid } from 'ulid'
import { type ProcessIdentity, findProcesses } from '../../services/cli/stack/process-table.ts'
import { retrying } from '../../shared/retry.ts'
import type { ContainerClient } from './container-client.ts'

const acceptedWithinMs = 60_000

/** Publishes a command until the bus has acknowledged it, under one message id: a repetition is no second command. */
export const accepted = (client: ContainerClient, subject: string, body: object): Promise<string> => {
  const commandId = ulid()
  return retrying(() => client.publish(subject, body, commandId), {
    signal: AbortSignal.timeout(acceptedWithinMs),
  })
}

/** Processes that run `sleep SECONDS`, in whichever container. */
export const initsOf = (seconds: string): Promise<ProcessIdentity[]> =>
  findProcesses(
    ([program, argument, ...rest]) => program === 'sleep' && argument === seconds && rest.length < 2,
  )

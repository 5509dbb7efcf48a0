import { ulid } from 'ulid'
import type { Bus } from '../../../../shared/bus.ts'
import type { ContainerCreate } from '../../../../shared/contracts/container-create.ts'
import { subjects } from '../../../../shared/subjects.ts'
import { type StepDisplay, stepDisplay } from '../../output/steps.ts'
import { type CommandRun, command } from '../bus/command.ts'

/** Publishes `container.create` and waits until the container is created or running. Throws the `Failure` that ended it. */
export const launch = async (
  bus: Bus,
  message: ContainerCreate,
  { quiet = false, signal }: { quiet?: boolean; signal?: AbortSignal } = {},
): Promise<CommandRun & { id: string }> => {
  // Generated here, so that its events can be followed before the message leaves.
  const id = message.id ?? ulid()
  using display: StepDisplay = stepDisplay({ quiet })
  const run = await command(
    bus,
    { subject: subjects.create, id, body: { ...message, id } },
    { after: 'all', display, signal },
  )
  return { ...run, id }
}

import type { Bus } from '../../../../shared/bus.ts'
import { verbs } from '../../../../shared/contracts/verbs.ts'
import { subjects } from '../../../../shared/subjects.ts'
import { stepDisplay } from '../../output/steps.ts'
import { ask } from '../bus/ask.ts'
import { command } from '../bus/command.ts'

/** Deletes a container, by id, name or beginning of the id, and waits until nothing of it is left. Throws `Failure`. */
export const removeContainer = async (
  bus: Bus,
  container: string,
  { force, quiet }: { force: boolean; quiet: boolean },
): Promise<void> => {
  const { id, sequence } = await ask(bus, verbs.containerGet, { container })
  using display = stepDisplay({ quiet })
  const { events } = await command(
    bus,
    { subject: subjects.delete, id, body: { id, force } },
    { after: sequence, display },
  )
  await events[Symbol.asyncDispose]()
}

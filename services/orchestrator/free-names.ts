import type { Bus } from '../../shared/bus.ts'
import type { ContainerSpec } from '../../shared/contracts/container-spec.ts'
import { Failure } from '../../shared/failure.ts'
import { readContainer } from './container-log.ts'
import { isGone } from './container-runs.ts'

const mostGiven = 1000

/** Names as far as this process knows who has them; the step that leases a name decides. */
export const createFreeNames = (bus: Bus, idOfName: (name: string) => string | undefined) => {
  /** Who was given a name here, which the list shows a moment later. */
  const given = new Map<string, string>()

  return {
    give: (name: string, id: string): void => {
      given.delete(name)
      given.set(name, id)
      const oldest = given.size > mostGiven ? given.keys().next().value : undefined
      if (oldest !== undefined) given.delete(oldest)
    },
    /** The projection may be behind: only a holder that its own log shows alive is in the way. Throws `Failure` (`conflict`). */
    require: async ({ id, name }: ContainerSpec): Promise<void> => {
      const holder = given.get(name) ?? idOfName(name)
      if (holder === undefined || holder === id || isGone((await readContainer(bus, holder)).saga)) return
      throw new Failure('conflict', `the name "${name}" is in use by container ${holder}`, {
        details: { container: holder },
      })
    },
  }
}

import type { Bus } from '../../../../shared/bus.ts'
import { verbs } from '../../../../shared/contracts/verbs.ts'
import { ask } from './ask.ts'

/** A wait is asked again after this long: a request must not outlive a restart of its answerer by much. */
const waitMs = 20_000

/** Waits for the end of a process that was executed in a container. */
export const execExitCode = async (bus: Bus, container: string, execId: string): Promise<number> => {
  for (;;) {
    const input = { container, execId, timeoutMs: waitMs }
    const { exitCode } = await ask(bus, verbs.containerExecWait, input, { timeoutMs: waitMs + 10_000 })
    if (exitCode !== null) return exitCode
  }
}

import type { Bus } from '../../../../shared/bus.ts'
import { verbs } from '../../../../shared/contracts/verbs.ts'
import { retrying } from '../../../../shared/retry.ts'
import { ask } from './ask.ts'

/** A wait is asked again after this long: a request must not outlive a restart of its answerer by much. */
const waitMs = 20_000

/** An orchestrator that is restarted is there again sooner. */
const patientMs = 45_000

/** Waits for the end of a process that was executed in a container. */
export const execExitCode = async (bus: Bus, container: string, execId: string): Promise<number> => {
  for (;;) {
    const input = { container, execId, timeoutMs: waitMs }
    // Not after an answer that was lost: with it the exec is forgotten.
    const { exitCode } = await retrying(
      () => ask(bus, verbs.containerExecWait, input, { timeoutMs: waitMs + 10_000 }),
      { signal: AbortSignal.timeout(patientMs), only: ({ details }) => details['nobody'] === true },
    )
    if (exitCode !== null) return exitCode
  }
}

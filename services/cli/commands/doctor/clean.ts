import { verbs } from '../../../../shared/contracts/verbs.ts'
import { ask } from '../bus/ask.ts'
import { withSession } from '../bus/session.ts'

const cleanedMs = 120_000

/** Has a host remove every resource of a container that the log does not know as living; answers the steps undone. Throws `Failure`. */
export const cleanHost = async (container: string, node?: string): Promise<string[]> => {
  const body = { container, ...(node === undefined ? {} : { node }) }
  return (await withSession(({ bus }) => ask(bus, verbs.nodeClean, body, { timeoutMs: cleanedMs }))).removed
}
